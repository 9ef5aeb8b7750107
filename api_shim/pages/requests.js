// How this page asks the API. The key is in this variable and nowhere else.

const id = location.pathname.split("/").pop();
const address = new URL(`../v1/connect/batches/${id}`, location.href).href;
const ANSWER_SECONDS = 30;

let key = null;
let clockSkew = 0; // milliseconds by which the server's clock is ahead of this one

/** The service answered, and the answer is no. */
class Refused extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get isTemporary() {
    return this.status === 429 || this.status >= 500;
  }
}

/** Nothing came back, or nothing that can be read. */
class Lost extends Error {}

const lost = (message) => (cause) => {
  throw new Lost(message, { cause });
};

const unpack = async (text) => JSON.parse(text);

/** Ends its signal when it was not renewed for so many seconds. */
function patience(seconds) {
  const controller = new AbortController();
  let timer;
  const renew = () => {
    clearTimeout(timer);
    timer = setTimeout(() => controller.abort(), seconds * 1000);
  };
  const end = () => {
    clearTimeout(timer);
    controller.abort();
  };
  renew();
  return { signal: controller.signal, renew, end };
}

/** A successful answer, its body still to be read. Throws `Refused` or `Lost`. */
async function ask(path, { method = "GET", accept = "application/json", headers = {}, signal } = {}) {
  const answer = await fetch(address + path, {
    method,
    headers: { Accept: accept, Authorization: `Bearer ${key}`, ...headers },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal,
  }).catch(lost("The service cannot be reached."));
  const now = Date.parse(answer.headers.get("Date"));
  if (now) clockSkew = now - Date.now();
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null); // a proxy's answer has another shape, or none
  const message = body?.error?.message ?? `The service answered with status ${answer.status}.`;
  throw new Refused(answer.status, message, Number(answer.headers.get("Retry-After")) || 0);
}

async function askJson(path, options = {}) {
  const limit = patience(ANSWER_SECONDS);
  try {
    const answer = await ask(path, { ...options, signal: limit.signal });
    return await answer.text().then(unpack).catch(lost("The service’s answer cannot be read."));
  } finally {
    limit.end();
  }
}

async function askBlob(path, accept) {
  const answer = await ask(path, { accept });
  return answer.blob().catch(lost("The download broke off."));
}
