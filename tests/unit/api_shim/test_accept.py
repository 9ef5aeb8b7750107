"""Which representation a caller gets, by `Accept`."""

import pytest

from api_shim.accept import preferred

JSON, NDJSON, CSV = OFFERS = ("application/json", "application/x-ndjson", "text/csv")


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        ([], JSON),
        (["*/*"], JSON),
        (["text/csv"], CSV),
        (["TEXT/CSV"], CSV),
        (["text/*"], CSV),
        (["application/x-ndjson"], NDJSON),
        (["application/*"], JSON),
        (["text/csv;header=present;q=0.9, application/json;q=0.8"], CSV),
        (["application/json;q=0.5, application/x-ndjson;q=0.7, text/csv;q=0.6"], NDJSON),
        (["text/csv;q=0.5", "application/x-ndjson"], NDJSON),
        (["text/csv, application/json"], JSON),
        (["application/json;q=0, */*;q=0.1"], NDJSON),
        (["text/csv;q=0.2, */*;q=0.8"], JSON),
        (["text/html, application/xhtml+xml"], JSON),
        (["text/csv;q=0"], JSON),
        (["text/csv;q=high"], CSV),
        (["text/csv, " * 200], JSON),
        ([";;,=,/,q=1"], JSON),
    ],
)
def test_the_most_wanted_is_sent(accept: list[str], sent: str) -> None:
    assert preferred(accept, OFFERS) == sent
