"""What a ring is and becomes."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.settings import Environment, SettingsError
from connections.vault import Cell, Opener, SealedFor, Sealer, TokenCipher, WorkerKeys

RING = WorkerKeys.generate(Environment.DEVELOPMENT)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASK = SealedFor("ct_1", "ws_1")
CELL = Cell("sa_1", "access_token")


def test_a_new_key_of_each_kind_becomes_current_and_the_old_ones_stay() -> None:
    ring = RING.rotated(now=NOW)

    assert ring.ids == ["s2", "s1", "t2", "t1"]
    assert (ring.sealing[0].created_at, ring.tokens[0].created_at) == (NOW, NOW)
    assert ring.is_rotating
    assert not RING.is_rotating
    assert ring.for_shim().sealing.id == "s2"
    assert ring.fingerprint == RING.fingerprint


@given(st.lists(st.sampled_from(["rotate", "retire"]), max_size=20), st.text("token ä", max_size=9))
def test_ids_are_never_given_twice_and_what_the_ring_has_opens(steps: list[str], token: str) -> None:
    ring, given_ids = RING, set(RING.ids)
    stored = {"t1": TokenCipher(ring).encrypt(token, CELL)}
    sealed = {"s1": Sealer(ring.for_shim()).seal({"a": token}, TASK)}
    for step in steps:
        if step == "retire":
            ring = ring.without(ring.ids)  # never the current ones
            continue
        ring = ring.rotated(now=NOW)
        new = {ring.sealing[0].id, ring.tokens[0].id}
        assert not new & given_ids
        given_ids |= new
        stored[ring.tokens[0].id] = TokenCipher(ring).encrypt(token, CELL)
        sealed[ring.sealing[0].id] = Sealer(ring.for_shim()).seal({"a": token}, TASK)
    for key in ring.tokens:
        assert TokenCipher(ring).decrypt(stored[key.id], CELL) == token
    for key in ring.sealing:
        assert Opener(ring).open(sealed[key.id], TASK) == {"a": token}


def test_an_id_that_rows_name_is_not_given_again() -> None:
    assert RING.rotated(now=NOW, used=["s7", "t4", "other"]).ids == ["s8", "s1", "t5", "t1"]


def test_a_ring_comes_back_from_its_json() -> None:
    ring = RING.rotated(now=NOW).exchanging(now=NOW)

    assert WorkerKeys.parse(ring.to_json(), name="ring", production=False) == ring


def test_a_ring_from_before_rotation_is_still_one() -> None:
    old = json.loads(RING.to_json())
    for key in (*old["sealing"], *old["tokens"]):
        del key["created_at"]
    del old["exchanged_at"]
    ring = WorkerKeys.parse(json.dumps(old).encode(), name="ring", production=False)

    assert TokenCipher(ring).decrypt(TokenCipher(RING).encrypt("token", CELL), CELL) == "token"
    assert ring.tokens[0].created_at is None


def test_two_keys_with_one_id_are_no_ring() -> None:
    twice = RING.model_copy(update={"tokens": RING.tokens * 2})

    with pytest.raises(SettingsError, match="not a key file"):
        WorkerKeys.parse(twice.to_json(), name="ring", production=False)


def test_a_ring_shows_no_key() -> None:
    shown = repr(RING.rotated(now=NOW)) + str(RING.for_shim())

    assert not [key for key in (*RING.sealing, *RING.tokens) if repr(key.key) in shown]
    assert repr(RING.fingerprint) not in shown
