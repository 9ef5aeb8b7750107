"""`X-Request-Id`: kept when well-formed, replaced otherwise, on every answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_shim.request_id import choose
from tests.unit.api_shim.conftest import Api

WELL_FORMED = st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True)


@given(WELL_FORMED)
def test_a_well_formed_id_is_kept(sent: str) -> None:
    assert choose([sent]) == sent


@given(st.lists(st.text(max_size=200), max_size=3))
def test_whatever_is_sent_the_id_is_well_formed(sent: list[str]) -> None:
    chosen = choose(sent)

    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", chosen)
    assert [chosen] == sent or chosen.startswith("req_")


def test_two_ids_are_none() -> None:
    assert choose(["a", "a"]).startswith("req_")


PATHS = ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/docs/assets/docs.js", "/nowhere", "/%00"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_one(api: Api, path: str) -> None:
    answer = await api.client.get(path, headers={"X-Request-Id": "mine-1"})

    assert answer.headers.get_list("x-request-id") == ["mine-1"]


async def test_a_malformed_one_is_replaced(api: Api) -> None:
    answer = await api.client.get("/healthz", headers={"X-Request-Id": "a b"})

    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.json()["request_id"].startswith("req_")
