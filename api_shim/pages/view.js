// From a batch to what is seen. Whatever strangers wrote gets in as text, never as markup.

const $ = (name) => document.getElementById(name);

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function note(name, text) {
  $(name).textContent = text;
  $(name).hidden = !text;
}

const FAILURES = ["failed", "expired", "rejected"];
const UNFINISHED = ["queued", "running", "retrying"];

// How the statuses of rows are put together, and the small print under each number.
const TILES = {
  connected: { connected: "" },
  already: { already_connected: "" },
  failed: { failed: "failed", rejected: "refused at once", expired: "out of time" },
  canceled: { canceled: "" },
  open: { queued: "waiting", running: "under way", retrying: "to be tried again" },
};

const sum = (batch, statuses) => statuses.reduce((total, status) => total + (batch.counts[status] ?? 0), 0);
const failuresOf = (batch) => sum(batch, FAILURES);
const unfinishedOf = (batch) => sum(batch, UNFINISHED);
const isOver = (batch) => batch.status === "finished" || batch.status === "canceled";

function headline(batch) {
  if (batch.status === "canceled") return "This batch was canceled";
  if (batch.status === "canceling") return "Canceling: what has begun is being finished";
  if (batch.status !== "finished") return "Connecting accounts";
  const failures = failuresOf(batch);
  if (failures) return `Done: ${rows(failures)} could not be connected`;
  return "Done: every account is connected";
}

function facts(batch) {
  const now = Date.now() + clockSkew;
  const left = batch.eta ? (Date.parse(batch.eta) - now) / 1000 : 0;
  const finish = batch.eta && (left > 0 ? `In about ${duration(left)}, at ${clock(new Date(batch.eta))}` : "Any moment now");
  const took = batch.finished_at && duration((Date.parse(batch.finished_at) - Date.parse(batch.created_at)) / 1000);
  const over = isOver(batch);
  return [
    ["Started", clock(new Date(batch.created_at))],
    ["Ended", batch.finished_at && `${clock(new Date(batch.finished_at))}, after ${took}`],
    ["Speed", !over && batch.rate && speed(batch.rate)],
    ["Finish", !over && (finish || "Not known yet")],
    ["Waits for", !over && batch.waits_for && waitWords(batch.waits_for)],
  ].filter(([, text]) => text);
}

/** Changes only what differs, so that nobody's selection is lost every second. */
function fill(parent, wanted) {
  wanted.forEach((node, index) => {
    const there = parent.children[index];
    if (!there) parent.append(node);
    else if (!there.isEqualNode(node)) there.replaceWith(node);
  });
  while (parent.children.length > wanted.length) parent.lastElementChild.remove();
}

function showBatch(batch) {
  const left = unfinishedOf(batch);
  const done = batch.total - left;
  const share = `${percent(done, batch.total)}%`;
  document.title = isOver(batch) ? headline(batch) : `${share} · ${headline(batch)}`;
  $("headline").textContent = headline(batch);
  $("percent").textContent = share;
  $("done").textContent = `${number(done)} of ${rows(batch.total)} done`;
  $("bar").ariaValueMax = String(batch.total);
  $("bar").ariaValueNow = String(done);
  $("bar").ariaValueText = `${share}, ${number(done)} of ${rows(batch.total)} done`;
  for (const [name, parts] of Object.entries(TILES)) {
    const count = sum(batch, Object.keys(parts));
    const notes = Object.entries(parts).filter(([status, words]) => words && batch.counts[status]);
    const tile = $("tiles").querySelector(`[data-tile=${name}]`);
    tile.textContent = number(count);
    tile.parentElement.hidden = name === "canceled" && !count;
    $("tiles").querySelector(`[data-note=${name}]`).textContent = notes
      .map(([status, words]) => `${number(batch.counts[status])} ${words}`)
      .join(", ");
    const part = $("bar").querySelector(`.${name}`);
    if (part) part.style.width = `${batch.total ? (100 * count) / batch.total : 0}%`;
  }
  fill($("facts"), facts(batch).flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
  showCauses(batch.causes);
  if (isOver(batch)) $("confirm").close();
  $("cancel").hidden = isOver(batch) || batch.status === "canceling";
  $("updated").textContent = `As of ${clock(new Date(), { exact: true })}.`;
}

function showCauses(causes) {
  const sorted = Object.entries(causes).sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
  $("causes").hidden = !sorted.length;
  fill($("cause-rows"), sorted.map(([cause, count]) => {
    const [what, advice] = causeWords(cause);
    const words = element("td");
    words.append(element("p", what), element("p", advice, "quiet"));
    const row = element("tr");
    row.append(words, element("td", number(count), "number"));
    return row;
  }));
}

/** One row of the table of failures. An isolated run of text keeps one that is written right to left in its cell. */
function failureRow(result) {
  const place = element("td", number(result.row));
  if (result.line) place.append(element("span", ` (line ${number(result.line)})`, "quiet"));
  const reference = element("td");
  reference.append(element("bdi", result.external_ref ?? "–"));
  const issues = result.error?.issues ?? [];
  const messages = issues.length > 1 ? issues.map((issue) => issue.message) : [result.error?.message ?? result.status];
  const reason = element("td");
  for (const message of messages) {
    const line = element("p");
    line.append(element("bdi", message));
    reason.append(line);
  }
  if (result.error?.hint) reason.append(element("p", result.error.hint, "quiet"));
  const row = element("tr");
  row.append(place, reference, reason);
  return row;
}

let spokenOf = "";

/** For those who hear the page: at every tenth of the way and when the state changes, not every second. */
function speak(batch) {
  const share = percent(batch.total - unfinishedOf(batch), batch.total);
  const step = `${batch.status} ${Math.floor(share / 10)}`;
  if (step === spokenOf) return;
  spokenOf = step;
  $("spoken").textContent = isOver(batch) ? headline(batch) : `${headline(batch)}, ${share}%`;
}
