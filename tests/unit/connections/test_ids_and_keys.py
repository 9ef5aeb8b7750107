import re

from hypothesis import given
from hypothesis import strategies as st

from connections.api_keys import new_api_key, prefix_of
from connections.ids import new_id
from connections.intake import is_id


def test_ids_are_ulids_in_the_order_of_their_time() -> None:
    ids = [new_id("ct") for _ in range(200)]

    assert all(re.fullmatch(r"ct_[0-7][0-9a-hjkmnp-tv-z]{25}", one) for one in ids)
    assert len(set(ids)) == 200
    assert [one[:13] for one in ids] == sorted(one[:13] for one in ids)
    assert all(map(is_id, ids))


def test_a_key_shows_its_kind_and_its_prefix_only() -> None:
    live, test = new_api_key(live=True), new_api_key(live=False)

    assert live.key.startswith("up_live_")
    assert test.key.startswith("up_test_")
    assert prefix_of(live.key) == live.prefix
    assert live.key not in repr(live)


@given(st.text())
def test_what_is_no_key_has_no_prefix(text: str) -> None:
    assert prefix_of(text) is None
    assert prefix_of("up_live_" + text) is None or len(text) == 40
