"""Server-sent events. (HTML Living Standard, 9.2.6, "Interpreting an event stream".)"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is `comment` for a comment, which servers send to show that they are still there."""

    name: str
    data: str
    id: str | None = None


def parse_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Events as they become whole; what the end of the stream cuts off is dropped."""
    name, data, last_id = "", list[str](), None
    for line in _lines(chunks):
        if line.startswith(":"):
            yield Event("comment", line[1:], last_id)
            continue
        if not line:
            if data:
                yield Event(name or "message", "\n".join(data), last_id)
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines without their ends, which are CRLF, CR or LF."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        # A CR at the end may be half of a CRLF: it waits for what follows.
        kept, rest = (rest[:-1], b"\r") if rest.endswith(b"\r") else (rest, b"")
        *whole, left = kept.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = left + rest
        for line in whole:
            yield line.decode("utf-8", "replace")
