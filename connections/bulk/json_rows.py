"""Rows in JSON: `{"profile_id"?, "platform", "items": [{…}, …]}`, read while it arrives. ADR 15."""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

import ijson

from connections.bulk.rows import KNOWN_MEMBERS, Heading, SentRow, body_fault, numbered
from connections.contract import Issue
from connections.intake import read_profile_id, refused, wrong_type

_Event = tuple[str, Any]
_Events = Iterator[_Event]

_OPENING: dict[str, type] = {"start_map": dict, "start_array": list}
_CLOSING = frozenset({"end_map", "end_array"})
_KNOWN = frozenset({"platform", "profile_id", "items"})


def read_json(pieces: Iterable[bytes]) -> Iterator[Heading | SentRow]:
    """The heading first, then the rows; `pieces` are UTF-8. Members come in any order, unknown ones are ignored.

    Rows that come before `platform` are held until the end. Raises `ValidationFailed` for what is no such document, and
    for a `profile_id` that comes after rows that had to be let go without it.
    """
    events = _events(pieces)
    if (begin := next(events))[0] != "start_map":
        raise refused([wrong_type("body", _value(begin, events), "an object")])
    found: dict[str, Any] = {}
    is_let_go = misses_profile = False
    for name, event in _members(events):
        if name in found:
            raise body_fault("duplicate_member", f"The body has two members called {name}.")
        if name == "items" and event[0] == "start_array":
            rows = _rows(events)
            if is_let_go := "platform" in found:
                heading = Heading(found["platform"], found.get("profile_id"))
                yield heading
                for row in rows:
                    misses_profile |= (heading.profile_id or row.members.get("profile_id")) is None
                    yield row
            found[name] = list(rows)
        elif (value := _value(event, events)) is not None and name in _KNOWN:
            found[name] = value
    for _ in events:  # there are none, or the body goes on after its end, which is told here
        pass
    if not isinstance(found.get("items"), list):
        raise refused([wrong_type("items", found.get("items"), "an array")])
    if is_let_go:
        _check_late_profile(found.get("profile_id"), is_missed=misses_profile)
    else:
        yield Heading(found.get("platform"), found.get("profile_id"))
        yield from found["items"]


def _check_late_profile(value: object, *, is_missed: bool) -> None:
    """One that all rows have done without has to be well-formed all the same."""
    issues: list[Issue] = []
    read_profile_id(value, issues)
    if issues:
        raise refused(issues)
    if is_missed and value is not None:
        raise body_fault("profile_id_too_late", "profile_id must come before items.")


class _ByLine:
    """The file that ijson reads: one line at a time, so that what is wrong with it can be found there."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._lines = (line for piece in pieces for line in piece.splitlines(keepends=True))
        self._next = 1
        self.line = 1
        """That of what was read last."""

    def read(self, size: int) -> bytes:
        """Any number of bytes, but for 0 of them, by which ijson finds out what kind of file this is."""
        read = next(self._lines, b"") if size else b""
        self.line = self._next
        self._next += read.count(b"\n")
        return read


def _events(pieces: Iterable[bytes]) -> _Events:
    file = _ByLine(pieces)
    try:
        # Without `use_float` the C backend of 3.6.0 dies of an integer of 5,000 digits, and takes the process along.
        # With it a number beyond 64 bits is called invalid, and no member of ours is a number.
        yield from ijson.basic_parse(file, use_float=True)
    except (ijson.JSONError, UnicodeDecodeError):  # the latter for half of a surrogate pair, which is no text
        message = f"The body is not valid JSON, on line {file.line}."
        raise body_fault("invalid_json", message, line=file.line) from None


def _members(events: _Events) -> Iterator[tuple[str, _Event]]:
    """Names and the events with which their values begin, of an object whose beginning was read."""
    for event, name in events:
        if event == "end_map":
            return
        yield name, next(events)


def _rows(events: _Events) -> Iterator[SentRow]:
    """The elements of the array whose beginning was read."""
    for number, event in numbered(takewhile(lambda event: event[0] != "end_array", events)):
        if event[0] != "start_map":
            yield SentRow(number, fault=wrong_type("row", _value(event, events), "an object"))
            continue
        members = {}
        for name, begin in _members(events):
            value = _value(begin, events)
            if name in KNOWN_MEMBERS:
                members[name] = value
        yield SentRow(number, members=members)


def _value(event: _Event, events: _Events) -> object:
    """A plain value; of any other one only its kind, empty, after reading over what is in it."""
    kind, value = event
    if kind not in _OPENING:
        return value
    depth = 1
    while depth:
        inner, _ = next(events)
        depth += (inner in _OPENING) - (inner in _CLOSING)
    return _OPENING[kind]()
