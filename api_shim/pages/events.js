// Server-sent events over fetch: EventSource cannot send a key. As the HTML standard reads such a stream (9.2.6),
// save that a lone carriage return ends no line.

const SILENCE_SECONDS = 60; // the service sends a comment more often than that

/**
 * Yields {id, type, data} until the stream ends, and the type "comment" where the service only says that it still lives;
 * nothing at all after a 204. Throws `Refused` or `Lost`.
 */
async function* events(lastId) {
  const limit = patience(SILENCE_SECONDS);
  try {
    const headers = lastId === null ? {} : { "Last-Event-ID": lastId };
    const answer = await ask("/events", { accept: "text/event-stream", headers, signal: limit.signal });
    if (answer.status === 204) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let event = { id: lastId, type: "message", data: [] };
    for (;;) {
      const { value, done } = await reader.read().catch(lost("The connection broke off."));
      if (done) return;
      limit.renew();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.map((line) => line.replace(/\r$/, ""))) {
        if (line === "") {
          if (event.data.length) yield { ...event, data: event.data.join("\n") };
          event = { id: event.id, type: "message", data: [] };
          continue;
        }
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
        if (name === "") yield { ...event, type: "comment" };
        else if (name === "id") event.id = value;
        else if (name === "event") event.type = value;
        else if (name === "data") event.data.push(value);
      }
    }
  } finally {
    limit.end();
  }
}
