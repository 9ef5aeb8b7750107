"""Rows in CSV: a header that names the columns in any order, then one record a row. RFC 4180, as Excel writes it."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from connections.bulk.lines import MAX_LINE_BYTES, Line, lines, too_long
from connections.bulk.rows import KNOWN_MEMBERS, SentRow, body_fault, numbered
from connections.contract import Issue
from connections.platforms import CredentialField

_DELIMITERS = ",;\t"


def read_csv(pieces: Iterable[bytes], fields: Sequence[CredentialField]) -> Iterator[SentRow]:
    """`pieces` are UTF-8, `fields` the credentials for which there must be a column.

    Blank lines and rows of empty cells are no rows. An empty cell is one that was not sent. Raises `ValidationFailed`
    for a header or quotes that make no sense.
    """
    written = lines(pieces)
    first = next((line for line in written if line[1].strip()), None)
    if first is None:
        return
    delimiter = delimiter_of(first[1])
    records = _records(chain([first], written), delimiter)
    begins, header = next(records)
    columns = _columns(header, fields, line=begins)
    for row, (begins, cells) in numbered(records):
        if any(cells[len(header) :]):
            message = (
                f"This row has {len(cells)} cells, its header {len(header)}. Put a cell with {delimiter!r} in quotes."
            )
            yield SentRow(row, begins, fault=Issue(field="row", code="too_many_cells", message=message))
        else:
            yield SentRow(
                row, begins, {name: cells[at] for name, at in columns.items() if at < len(cells) and cells[at]}
            )


def delimiter_of(header: bytes) -> str:
    return max(_DELIMITERS, key=header.decode().count)


def is_blank(record: list[str]) -> bool:
    """Whether nobody sees anything in it: a blank line, or the rows without cells that Excel leaves behind a table."""
    return not any(cell.strip() for cell in record)


def _records(written: Iterator[Line], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line that it begins on."""
    begins = size = 0

    def feed() -> Iterator[str]:
        nonlocal begins, size
        for number, line in written:
            begins = begins or number
            size += len(line) + 1
            if size > MAX_LINE_BYTES + 1:
                raise too_long(begins)
            yield f"{line.decode()}\n"

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        begins = size = 0
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            message = f"The quotes or line breaks of what begins on line {begins} are not those of CSV."
            raise body_fault("invalid_csv", message, line=begins) from None
        if not is_blank(record):
            yield begins, record


def _columns(header: list[str], fields: Sequence[CredentialField], *, line: int) -> dict[str, int]:
    """Where the columns are that we know. What else is in the header is not repeated: it may be no header at all."""
    columns: dict[str, int] = {}
    for at, written in enumerate(header):
        name = written.strip().lower()
        if name in columns:
            raise body_fault("duplicate_column", f"Line {line} names the column {name} twice.", line=line)
        if name in KNOWN_MEMBERS:
            columns[name] = at
    for wanted in fields:
        if not columns.keys() & {wanted.name, *wanted.aliases}:
            names = " or ".join((wanted.name, *wanted.aliases))
            message = f"Line {line} must name the columns, and there is none called {names}."
            raise body_fault("missing_column", message, line=line)
    return columns
