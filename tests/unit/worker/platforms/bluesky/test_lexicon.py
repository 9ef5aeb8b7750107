"""The answers that we read without the SDK's models say to us what they say to it."""

from typing import Any

import pytest
from atproto_client.models.com.atproto.identity import resolve_handle  # type: ignore[import-untyped]
from atproto_client.models.com.atproto.server import create_session  # type: ignore[import-untyped]
from atproto_client.models.com.atproto.sync import get_repo_status  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tests.unit.worker.platforms.bluesky.conftest import deterministic
from worker.platforms.bluesky.lexicon import HandleAnswer, RepoStatusAnswer, SessionAnswer

PAIRS = [
    (SessionAnswer, create_session.Response),
    (HandleAnswer, resolve_handle.Response),
    (RepoStatusAnswer, get_repo_status.Response),
]
each = pytest.mark.parametrize(("ours", "sdks"), PAIRS, ids=lambda model: model.__name__)

values = st.none() | st.booleans() | st.integers(0, 1) | st.sampled_from(["did:plc:a", "takendown", "true", ""])


def read(model: type[BaseModel], answer: dict[str, Any], names: list[str]) -> list[object] | None:
    try:
        found = model.model_validate(answer)
    except ValidationError:
        return None
    return [getattr(found, name) for name in names]


@each
@given(data=st.data())
@deterministic
def test_as_the_sdk_reads_them(ours: type[BaseModel], sdks: type[BaseModel], data: st.DataObject) -> None:
    members = {name: field.alias or name for name, field in ours.model_fields.items()}
    answer = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(members.values(), values)))
    assert read(ours, answer, list(members)) == read(sdks, answer, list(members))


@each
def test_nothing_is_read_that_the_lexicon_lacks(ours: type[BaseModel], sdks: type[BaseModel]) -> None:
    for name, field in ours.model_fields.items():
        theirs = sdks.model_fields[name]
        assert (field.alias or name, field.is_required()) == (theirs.alias or name, theirs.is_required())
