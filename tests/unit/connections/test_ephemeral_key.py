"""A session is sealed for one request, and opens there and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.vault import AnswerTo, EphemeralKey, UnreadableSecret, seal_for

KEY = EphemeralKey()
REQUEST = AnswerTo("sq_1", "ws_1")


@given(st.binary())
def test_what_a_worker_seals_the_one_who_asked_opens(content: bytes) -> None:
    assert KEY.open(seal_for(KEY.public, content, REQUEST), REQUEST) == content


@given(st.binary(), st.builds(AnswerTo, st.sampled_from(["sq_1", "sq_2", ""]), st.sampled_from(["ws_1", "ws_2", ""])))
def test_it_belongs_to_one_request_of_one_workspace(content: bytes, other: AnswerTo) -> None:
    sealed = seal_for(KEY.public, content, REQUEST)
    if other != REQUEST:
        with pytest.raises(UnreadableSecret):
            KEY.open(sealed, other)


@given(st.binary())
def test_no_other_key_opens_it(content: bytes) -> None:
    with pytest.raises(UnreadableSecret):
        EphemeralKey().open(seal_for(KEY.public, content, REQUEST), REQUEST)


@given(st.binary(min_size=8), st.data())
def test_damage_is_refused_and_not_repeated(content: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal_for(KEY.public, content, REQUEST))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 + data.draw(st.integers(0, 254))
    with pytest.raises(UnreadableSecret) as refused:
        KEY.open(bytes(sealed), REQUEST)
    assert str(refused.value) == "a sealed session does not open"


@given(st.binary(max_size=200))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(UnreadableSecret):
        KEY.open(junk, REQUEST)


def test_a_key_is_not_printed() -> None:
    assert KEY.public.hex() not in repr(KEY)
    assert EphemeralKey().public != KEY.public
