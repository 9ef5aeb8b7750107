// The page's course: ask for a key, follow the batch to its end, do what the buttons say.

const LONGEST_PAUSE_SECONDS = 30;
const PAGE_ROWS = 50;

let batch = null;

function show(next) {
  batch = next;
  if ($("batch").hidden) {
    $("key-form").hidden = true;
    $("batch").hidden = false;
    $("headline").focus();
  }
  note("connection", "");
  showBatch(batch);
  speak(batch);
  showFailures();
}

/** Back to the form, with what was wrong. The key is forgotten. */
function askForKey(message) {
  key = null;
  document.title = "Batch";
  $("headline").textContent = "Open this batch";
  $("batch").hidden = true;
  $("key-form").hidden = false;
  $("key-error").textContent = message;
  $("key").ariaInvalid = message ? "true" : null;
  $("open").disabled = false;
  $("key").focus();
}

const REFUSALS = {
  401: "This key does not work. It may be mistyped, revoked or expired.",
  404: "This key’s workspace has no such batch. Either the address is not complete, or the batch is another workspace’s.",
};

/** Until the batch is over: a snapshot, then events, and from the start again after whatever breaks off. */
async function follow() {
  let lastId = null;
  for (let failures = 0; ; failures += 1) {
    let pause = 0;
    try {
      show((await askJson("")).data);
      if (isOver(batch)) return;
      for await (const event of events(lastId)) {
        failures = 0;
        lastId = event.id;
        if (event.type === "end") break;
        if (event.type === "progress") show(await unpack(event.data).catch(lost("This is no event.")));
        if (event.type === "comment") show((await askJson("")).data); // no row ended for a while: the speed sinks
      }
      if (isOver(batch)) continue; // told by an event: a last snapshot ends it
    } catch (error) {
      if (error instanceof Refused && !error.isTemporary) {
        askForKey(REFUSALS[error.status] ?? error.message);
        return;
      }
      if (!(error instanceof Refused || error instanceof Lost)) throw error;
      pause = error.retryAfter ?? 0;
      tellLoss(error);
    }
    // Not all pages at once that lost the same server.
    const growing = Math.min(2 ** failures, LONGEST_PAUSE_SECONDS) * (1 + Math.random() / 4);
    await rest(Math.max(pause, growing));
  }
}

function tellLoss(error) {
  const what = error instanceof Refused ? `The service cannot answer at the moment: ${error.message}` : "The connection is lost.";
  const text = `${what} The batch goes on without this page, which keeps trying by itself.`;
  if (batch) note("connection", text);
  else $("key-error").textContent = text;
}

/** So many seconds, or until the browser says that there is a network again. */
function rest(seconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(end, seconds * 1000);
    addEventListener("online", end);
    function end() {
      clearTimeout(timer);
      removeEventListener("online", end);
      resolve();
    }
  });
}

// The rows that failed, page by page. `known` is how many had failed when the first page was loaded.
const listed = { isFresh: true, known: 0, shown: 0, cursor: null, isLoading: false };

function showFailures() {
  const failures = failuresOf(batch);
  $("failures").hidden = !failures;
  const isUntouched = listed.shown <= PAGE_ROWS;
  const isNew = listed.known !== failures;
  if (listed.isFresh && failures) {
    listed.isFresh = false;
    act(null, () => loadFailures(null));
  } else if (isOver(batch) && isNew && isUntouched) act(null, () => loadFailures(null));
  $("renew").hidden = listed.isLoading || !isNew;
  $("renew").textContent = `Show ${rows(failures - listed.known)} more that failed since`;
  $("more").hidden = !listed.cursor;
  $("shown").textContent = `${number(listed.shown)} of ${number(Math.max(failures, listed.shown))} shown`;
}

async function loadFailures(cursor) {
  if (listed.isLoading) return;
  listed.isLoading = true;
  try {
    const query = new URLSearchParams({ status: FAILURES.join(), limit: PAGE_ROWS, ...(cursor && { cursor }) });
    const known = failuresOf(batch);
    const { data, meta } = await askJson(`/results?${query}`);
    if (cursor === null) {
      $("failure-rows").replaceChildren();
      Object.assign(listed, { known, shown: 0 });
    }
    $("failure-rows").append(...data.map(failureRow));
    Object.assign(listed, { shown: listed.shown + data.length, cursor: meta.has_more ? meta.next_cursor : null });
  } finally {
    listed.isLoading = false;
  }
  showFailures();
}

/** Does what a button says, once at a time, and tells when it did not work. */
async function act(button, job) {
  note("action", "");
  if (button) button.disabled = true;
  try {
    await job();
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Lost)) throw error;
    note("action", REFUSALS[error.status] ?? error.message);
  } finally {
    if (button) button.disabled = false;
  }
}

async function save(accept, ending) {
  const url = URL.createObjectURL(await askBlob("/results", accept));
  const link = element("a");
  link.href = url;
  link.download = `${id}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be asking where to
}

$("batch-id").textContent = id;
$("key-form").hidden = false;
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = $("key").value.trim();
  $("key").value = "";
  if (!/^[\x21-\x7e]+$/.test(given)) return askForKey(REFUSALS[401]);
  key = given;
  $("key-error").textContent = "";
  $("open").disabled = true;
  follow();
});
$("csv").addEventListener("click", () => act($("csv"), () => save("text/csv", "csv")));
$("ndjson").addEventListener("click", () => act($("ndjson"), () => save("application/x-ndjson", "ndjson")));
$("more").addEventListener("click", () => act($("more"), () => loadFailures(listed.cursor)));
$("renew").addEventListener("click", () => act($("renew"), () => loadFailures(null)));
$("leave").addEventListener("click", () => location.reload());
$("cancel").addEventListener("click", () => {
  $("confirm-text").textContent = `${number(unfinishedOf(batch))} of ${rows(batch.total)} are still to do.`;
  $("confirm").showModal();
});
$("keep").addEventListener("click", () => $("confirm").close());
$("stop").addEventListener("click", () => {
  $("confirm").close();
  act($("cancel"), async () => {
    show((await askJson("/cancel", { method: "POST" })).data);
  });
});
$("key").focus();
