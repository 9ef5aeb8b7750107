"""Rows in NDJSON: one JSON object a line. A line that is none is a bad row, not the end of the file."""

from collections.abc import Iterable, Iterator

import orjson

from connections.bulk.lines import lines
from connections.bulk.rows import SentRow, numbered
from connections.contract import Issue
from connections.intake import wrong_type


def read_ndjson(pieces: Iterable[bytes]) -> Iterator[SentRow]:
    """`pieces` are UTF-8. Blank lines are no rows. Raises `ValidationFailed` for a line that is too long."""
    written = ((number, line) for number, line in lines(pieces) if line.strip())
    for row, (number, line) in numbered(written):
        yield _read_line(row, number, line)


def _read_line(row: int, number: int, line: bytes) -> SentRow:
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        return SentRow(
            row, number, fault=Issue(field="row", code="invalid_json", message="This line is not valid JSON.")
        )
    if not isinstance(members, dict):
        return SentRow(row, number, fault=wrong_type("row", members, "an object"))
    return SentRow(row, number, members)
