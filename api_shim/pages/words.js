// What the service says in codes and numbers, in words for people who never saw them.

// By cause: what happened, and what to do about it.
const CAUSES = {
  account_unavailable: ["Account taken down, suspended or deactivated", "Its owner has to settle that with Bluesky first."],
  connect_timeout: ["Time ran out", "Nothing was connected. Send these rows again in a new batch."],
  duplicate_row: ["Twice in the same batch", "The first of them was tried."],
  handle_mismatch: ["Handle and account do not agree", "The account does not claim this handle. Check how it is spelled."],
  handle_not_found: ["No account has this handle", "Check how it is spelled, or ask whether it was changed."],
  host_not_allowed: ["The account’s server is not on the public internet", ""],
  identity_unusable: ["The account was deleted or has no usable server", ""],
  internal_error: ["A fault of this service", "Ask whoever runs it; the request id of the row finds the cause."],
  invalid_characters: ["A text with characters that cannot be stored", ""],
  invalid_handle: ["Not a handle", "A handle looks like alice.bsky.social."],
  invalid_json: ["Not valid JSON", ""],
  invalid_type: ["A field has the wrong type", ""],
  main_password_rejected: ["The main password instead of an app password", "Create one in Bluesky: Settings → App passwords."],
  rate_limited: ["Too many failed logins", "Wait before you send these rows again."],
  required: ["A field is missing", ""],
  too_long: ["A text is too long", ""],
  too_many_cells: ["More cells than there are columns", "Is a comma or a quotation mark out of place?"],
  unauthorized: ["Handle or app password rejected", "Ask the owner for a new app password."],
  unknown_profile: ["The workspace has no such profile", ""],
  upstream_error: ["The account’s server did not answer properly", "It was tried several times. Send these rows again later."],
  upstream_rate_limited: ["The server’s rate limit lasted too long", "Send these rows again later."],
  validation_error: ["The row is not valid", ""],
};

function causeWords(cause) {
  const plain = cause.replaceAll("_", " ");
  return Object.hasOwn(CAUSES, cause) ? CAUSES[cause] : [plain.charAt(0).toUpperCase() + plain.slice(1), ""];
}

const number = (value) => value.toLocaleString();
const rows = (count) => (count === 1 ? "1 row" : `${number(count)} rows`);
const few = (value) => value.toLocaleString(undefined, { maximumSignificantDigits: 2 });

// Rounded down: 100 means that nothing is left.
const percent = (part, whole) => (whole ? Math.floor((100 * part) / whole) : 100);

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  const minutes = Math.round(seconds / 60);
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.round(minutes / 1440)} days`;
}

// 300 s is "5 minutes", 60 s "minute", as in "3,000 per 5 minutes".
function period(seconds) {
  for (const [size, name] of [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]) {
    if (seconds % size === 0) return seconds === size ? name : `${number(seconds / size)} ${name}s`;
  }
  return `${few(seconds)} seconds`;
}

function clock(date, { exact = false } = {}) {
  const isToday = date.toDateString() === new Date().toDateString();
  const time = { hour: "numeric", minute: "2-digit", ...(exact && { second: "2-digit" }) };
  return date.toLocaleString(undefined, isToday ? time : { ...time, day: "numeric", month: "short" });
}

function speed(rate) {
  return rate >= 1 ? `${few(rate)} rows per second` : rate >= 1 / 60 ? `${few(rate * 60)} rows per minute` : `${few(rate * 3600)} rows per hour`;
}

function waitWords({ reason, host, budget, until }) {
  const [count, seconds] = (budget ?? "").split("/").map(Number);
  const limit = count > 0 && seconds > 0 ? ` of ${number(count)} requests per ${period(seconds)}` : "";
  const then = until ? `, goes on at ${clock(new Date(until), { exact: true })}` : "";
  if (reason === "rate_limit") return `The rate limit${limit}${host ? ` at ${host}` : ""}${then}`;
  if (reason === "retry") return `Rows that could not be connected yet are tried again${until ? ` at ${clock(new Date(until))}` : " later"}`;
  if (reason === "capacity") return "A free worker";
  return `${causeWords(reason)[0]}${then}`;
}
