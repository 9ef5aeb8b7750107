"""What is read of a file: its rows with their lines, or where it is no such file."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connections.bluesky.identifier import parse_identifier
from connections.bulk.csv_rows import read_csv
from connections.bulk.json_rows import read_json
from connections.bulk.lines import MAX_LINE_BYTES, utf8
from connections.bulk.ndjson_rows import read_ndjson
from connections.bulk.rows import MAX_ROWS, Candidate, Heading, SentRow, read_row
from connections.contract import RejectedRow
from connections.errors import PayloadTooLarge, ValidationFailed
from connections.platforms import PLATFORMS

BLUESKY = PLATFORMS["bluesky"]
NORMAL_FORM = partial(parse_identifier, hosted_domain="bsky.social", allows_test=True)

Pieces = Iterable[bytes]


def csv_rows(pieces: Pieces) -> list[SentRow]:
    return list(read_csv(utf8(pieces), BLUESKY.fields))


def ndjson_rows(pieces: Pieces) -> list[SentRow]:
    return list(read_ndjson(utf8(pieces)))


def json_rows(pieces: Pieces) -> list[SentRow]:
    heading, *rows = read_json(utf8(pieces))
    assert isinstance(heading, Heading)
    return [row for row in rows if isinstance(row, SentRow)]


READERS: dict[str, Callable[[Pieces], list[SentRow]]] = {"csv": csv_rows, "ndjson": ndjson_rows, "json": json_rows}


def in_pieces(body: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def told(rows: list[SentRow]) -> list[tuple[int | None, dict[str, object] | str]]:
    return [(row.line, row.fault.code if row.fault else dict(row.members)) for row in rows]


A: dict[str, object] = {"handle": "a.test", "app_password": "x"}

CSV: dict[str, tuple[bytes, list[tuple[int, dict[str, object] | str]]]] = {
    "plain": (b"handle,app_password\na.test,x\n", [(2, A)]),
    "any order, aliases, upper case": (
        b" Password ;IDENTIFIER\r\nx;a.test",
        [(2, {"identifier": "a.test", "password": "x"})],
    ),
    "tabs": (b"handle\tapp_password\na.test\tx\n", [(2, A)]),
    "a byte order mark": (codecs.BOM_UTF8 + b"handle,app_password\na.test,x\n", [(2, A)]),
    "quotes": (
        b'"handle","app_password"\na.test,"x,""\r\ny"\na.test,x',
        [(2, A | {"app_password": 'x,"\r\ny'}), (4, A)],
    ),
    "blank lines": (b"\n\nhandle,app_password\n \t\r\n\na.test,x\n\n ", [(6, A)]),
    "an unknown column": (b"handle,note,app_password,note\na.test,n,x,n\n", [(2, A)]),
    "an empty cell": (b"handle,app_password,external_ref\na.test,x,\n", [(2, A)]),
    "too few cells": (b"handle,app_password\na.test\na.test,x", [(2, {"handle": "a.test"}), (3, A)]),
    "too many cells": (b"handle,app_password\na.test,x,y\na.test,x,,", [(2, "too_many_cells"), (3, A)]),
    "only a header": (b"handle,app_password\n", []),
    "empty": (b"", []),
}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("body", "rows"), CSV.values(), ids=CSV)
def test_csv(body: bytes, rows: list[tuple[int, Any]], size: int) -> None:
    assert told(csv_rows(in_pieces(body, size))) == rows


def test_ndjson_rejects_the_lines_that_are_no_objects() -> None:
    body = b'{"handle": "a.test", "app_password": "x"}\r\n\n[]\n{"handle"\n{"handle": "\\ud800"}\n7'

    assert told(ndjson_rows([body])) == [
        (1, A),
        (3, "invalid_type"),
        (4, "invalid_json"),
        (5, "invalid_json"),
        (6, "invalid_type"),
    ]


def document(**members: object) -> bytes:
    return json.dumps(members).encode()


def test_json_members_come_in_any_order() -> None:
    assert list(read_json([document(items=[A], more={"a": [1, {}]}, platform="bluesky", profile_id="pr_1")])) == [
        Heading("bluesky", "pr_1"),
        SentRow(1, members=A),
    ]


def test_json_elements_that_are_no_rows_are_rejected_one_by_one() -> None:
    items = [A | {"note": {"deep": [[1], {}]}}, 7, [[A]], None, {"handle": {"a": 1}}]

    assert told(json_rows([document(platform="bluesky", items=items)])) == [
        (None, A),
        (None, "invalid_type"),
        (None, "invalid_type"),
        (None, "required"),
        (None, {"handle": {}}),
    ]


def test_a_profile_that_comes_too_late_for_rows_is_refused() -> None:
    with pytest.raises(ValidationFailed, match="profile_id must come before items"):
        list(read_json([document(platform="bluesky", items=[A], profile_id="pr_1")]))


def test_a_profile_that_no_row_needed_may_come_late() -> None:
    assert json_rows([document(platform="bluesky", items=[A | {"profile_id": "pr_2"}], profile_id="pr_1")])


@pytest.mark.parametrize(
    ("profile_id", "code"), [(False, "invalid_type"), ({"id": "pr_1"}, "invalid_type"), ("no id", "unknown_profile")]
)
def test_a_late_profile_that_is_none_is_refused_though_no_row_needed_it(profile_id: object, code: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        list(read_json([document(platform="bluesky", items=[A | {"profile_id": "pr_2"}], profile_id=profile_id)]))
    assert [(issue.field, issue.code) for issue in caught.value.issues] == [("profile_id", code)]


HEADER = b"handle,app_password\n"
FAULTS: dict[str, tuple[str, bytes, str, int | None]] = {
    "no column": ("csv", b"name,app_password\n", "missing_column", 1),
    "no header": ("csv", b"\na.test,canary\n", "missing_column", 2),
    "a column twice": ("csv", b"handle,app_password,Handle\n", "duplicate_column", 1),
    "a quote that stays open": ("csv", HEADER + b'a,b\na,"canary\n', "invalid_csv", 3),
    "a quote that ends too early": ("csv", HEADER + b'a,"can"ary\n', "invalid_csv", 2),
    "carriage returns alone": ("csv", HEADER + b"a,canary\rb,canary\r", "invalid_csv", 2),
    "a huge cell": ("csv", HEADER + b"a,b\n" + b"x" * (MAX_LINE_BYTES + 1), "line_too_long", 3),
    "a huge cell of many lines": ("csv", HEADER + b'a,"' + b"canary\n" * MAX_LINE_BYTES, "line_too_long", 2),
    "a huge line": ("ndjson", b"{}\n" + b" " * (MAX_LINE_BYTES + 1), "line_too_long", 2),
    "Latin-1": ("csv", HEADER + "a,canaryé\n".encode("latin-1"), "invalid_encoding", 2),
    "UTF-16": ("csv", (HEADER.decode() + "a,canary\n").encode("utf-16"), "invalid_encoding", 1),
    "UTF-16 without a mark": ("ndjson", '{"a": 1}'.encode("utf-16-be"), "invalid_encoding", 1),
    "cut within a character": ("csv", HEADER + b"a,canary\xc3", "invalid_encoding", 2),
    "binary": ("csv", HEADER + b"a,canary\0\n", "not_text", 2),
    "a program": ("ndjson", b"\x7fELF\x02\x01\x01\0\0\0", "not_text", 1),
    "bytes at random": ("csv", b"\0\x01\x02\xff" * 100, "not_text", 1),
    "half of a surrogate pair": ("json", b'{"platform": "b", "items": [\n{"handle": "\\udc00"}]}', "invalid_json", 2),
    "cut off JSON": ("json", b'{"platform": "bluesky",\n"items": [\n{"handle": "canary', "invalid_json", 3),
    "JSON that goes on": ("json", document(platform="b", items=[]) + b"\n\n{}", "invalid_json", 3),
    "no JSON": ("json", b"handle,canary\n", "invalid_json", 1),
    "nothing": ("json", b"", "invalid_json", 1),
    "a number of 5,000 digits": ("json", b'{"n": ' + b"9" * 5000 + b"}", "invalid_json", 1),
    "no object": ("json", b"[]", "invalid_type", None),
    "no items": ("json", document(platform="bluesky"), "required", None),
    "items that are no array": ("json", document(platform="bluesky", items={}), "invalid_type", None),
    "items twice": ("json", b'{"platform": "b", "items": [], "items": []}', "duplicate_member", None),
}


@pytest.mark.parametrize("size", [1, 5, 100_000])
@pytest.mark.parametrize(("format_", "body", "code", "line"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_with_all_of_it(format_: str, body: bytes, code: str, line: int | None, size: int) -> None:
    with pytest.raises(ValidationFailed) as caught:
        READERS[format_](in_pieces(body, size))

    (issue,) = caught.value.issues
    assert (issue.code, (caught.value.details or {}).get("line")) == (code, line)
    assert line is None or f"line {line}" in issue.message.lower()
    assert "canary" not in caught.value.describe().model_dump_json()


MANY = MAX_ROWS + 1


@pytest.mark.parametrize(
    ("format_", "body"),
    [
        ("csv", HEADER + b"a,b\n" * MANY),
        ("ndjson", b"{}\n" * MANY),
        ("json", document(platform="bluesky", items=[0] * MANY)),
        ("json", document(items=[{}] * MANY, platform="bluesky")),
    ],
)
def test_more_rows_than_a_batch_may_have(format_: str, body: bytes) -> None:
    with pytest.raises(PayloadTooLarge, match="10,000 rows"):
        READERS[format_]([body])


def read(sent: SentRow) -> Candidate | RejectedRow:
    return read_row(sent, BLUESKY, NORMAL_FORM)


def test_a_good_row() -> None:
    row = read(SentRow(3, 4, {"identifier": "@Alice.Test", "password": "canary", "external_ref": "7"}))

    assert isinstance(row, Candidate)
    assert (row.identifier, row.account, row.password, row.external_ref) == ("@Alice.Test", "alice.test", "canary", "7")
    assert "canary" not in repr(row)


BAD_ROWS: dict[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "nothing": ({}, [("handle", "required"), ("app_password", "required")]),
    "no password": ({"handle": "a.test"}, [("app_password", "required")]),
    "an illegal handle": ({"identifier": "a b", "password": "x"}, [("identifier", "invalid_handle")]),
    "a password for a handle": ({"handle": "abcd-efgh-2345-wxyz", "app_password": "x"}, [("handle", "invalid_handle")]),
    "a number": (A | {"app_password": 7}, [("app_password", "invalid_type")]),
    "a profile that is none": (A | {"profile_id": "no such"}, [("profile_id", "unknown_profile")]),
    "a long reference": (A | {"external_ref": "x" * 256}, [("external_ref", "too_long")]),
    "a reference with a NUL": (A | {"external_ref": "\0"}, [("external_ref", "invalid_characters")]),
    "a reference that is a number": (A | {"external_ref": 7}, [("external_ref", "invalid_type")]),
}


@pytest.mark.parametrize(("members", "issues"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_has_one_issue_a_field(members: dict[str, object], issues: list[tuple[str, str]]) -> None:
    row = read(SentRow(3, 4, members))

    assert isinstance(row, RejectedRow)
    assert (row.row, row.line) == (3, 4)
    assert [(issue.field, issue.code) for issue in row.issues] == issues


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ROW = st.fixed_dictionaries({"handle": CELL, "app_password": CELL, "external_ref": CELL})
SIZES = st.integers(1, 200)


@settings(max_examples=150)
@given(st.lists(ROW, max_size=5), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]), SIZES)
def test_what_a_program_writes_as_csv_is_read_back(
    rows: list[dict[str, str]], delimiter: str, end: str, size: int
) -> None:
    file = io.StringIO()
    names = ["external_ref", "app_password", "handle"]
    writer = csv.DictWriter(file, names, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)

    found = csv_rows(in_pieces(file.getvalue().encode(), size))

    # An empty cell was not sent, and where nobody sees anything there is no row.
    assert [dict(row.members) for row in found] == [
        {name: cell for name, cell in row.items() if cell} for row in rows if any(map(str.strip, row.values()))
    ]


STARTS = st.sampled_from([b"", HEADER, b'{"platform": "bluesky", "items": [', codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
BITS = st.sampled_from(
    [b'"', b"\n", b"\r", b",", b";", b"\0", b"{", b"}", b"[", b"]", b'{"handle": "a.test"}', b"\xff"]
)
ANY = st.tuples(STARTS, st.lists(BITS | st.binary(max_size=8), max_size=12).map(b"".join)).map(b"".join)


@settings(max_examples=400)
@given(st.sampled_from(sorted(READERS)), ANY | st.binary(), SIZES)
def test_any_bytes_are_rows_or_have_a_fault(format_: str, body: bytes, size: int) -> None:
    try:
        rows = READERS[format_](in_pieces(body, size))
    except ValidationFailed:
        return
    assert [row.number for row in rows] == [*range(1, len(rows) + 1)]
    for row in rows:
        read(row)
