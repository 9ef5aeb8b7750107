"""Server-sent events are read as the HTML standard says, however the network cuts them up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.importing.event_stream import Event, parse_events

STREAM = (
    "retry: 2000\n\n"
    ": still here\r\n"
    "id: a1\r\nevent: progress\r\ndata: {\r\ndata:  é}\r\n\r\n"
    "data:no blank\r\r"
    "id: b2\n\n"
    "event: end\ndata\n\n"
    "event: progress\ndata: cut off\n"
).encode()

EVENTS = [
    Event("comment", " still here"),
    Event("progress", "{\n é}", "a1"),
    Event("message", "no blank", "a1"),
    Event("end", "", "b2"),
]


def test_a_stream() -> None:
    assert list(parse_events([STREAM])) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_a_stream_in_pieces(cuts: list[int]) -> None:
    edges = zip([0, *cuts], [*cuts, len(STREAM)], strict=True)
    assert list(parse_events(STREAM[begin:end] for begin, end in edges)) == EVENTS


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x85"], ids=ascii)
def test_only_line_ends_end_lines(separator: str) -> None:
    stream = f"data: one{separator}data: two\n\n".encode()
    assert list(parse_events([stream])) == [Event("message", f"one{separator}data: two")]


@given(st.binary(max_size=200))
def test_nonsense_is_no_error(stream: bytes) -> None:
    for event in parse_events([stream]):
        assert "\n" not in (event.id or "")
