"""What a token says of itself is a stranger's word."""

import json
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.worker.platforms.bluesky.conftest import World, deterministic, session, token
from tests.unit.worker.platforms.fakes import answer
from worker.platforms.bluesky.tokens import expiry_of, scope_of

HOUR = 3600
DAY = 24 * HOUR


def saying(**claims: object) -> str:
    return f"e30.{urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    ("given_token", "scope"),
    [
        (token("com.atproto.access"), "com.atproto.access"),
        (token(None), None),
        ("a.b", None),
        ("a.b.c.d", None),
        ("a.!!!.c", None),
        ("a.W10.c", None),  # []
        ("a.eyJzY29wZSI6N30.c", None),  # {"scope":7}
    ],
)
def test_scope(given_token: str, scope: str | None) -> None:
    assert scope_of(given_token) == scope


def test_when_it_ends() -> None:
    ends = int(time.time()) + 2 * HOUR
    assert expiry_of(saying(exp=ends)) == datetime.fromtimestamp(ends, UTC)


@pytest.mark.parametrize("exp", [0, -1, 5 * 10**300, 10**20, True, "soon", None, [], float("nan"), float("inf")])
def test_an_absurd_end_is_none(exp: object) -> None:
    assert expiry_of(saying(exp=exp)) is None


@pytest.mark.parametrize("ahead", [-1, 400 * DAY])
def test_an_end_in_the_past_or_years_ahead_is_none(ahead: int) -> None:
    assert expiry_of(saying(exp=int(time.time()) + ahead)) is None


@deterministic
@given(st.text(max_size=200) | st.text(alphabet="abcW10=-_.[{", max_size=60))
def test_any_text_may_be_a_token(text: str) -> None:
    scope_of(text)
    expiry_of(text)


def test_a_login_tells_when_its_tokens_end(world: World) -> None:
    now = int(time.time())
    tokens = {"accessJwt": saying(exp=now + 2 * HOUR), "refreshJwt": saying(exp=now + 90 * DAY)}
    world.reply("POST pds.example.com/xrpc/com.atproto.server.createSession", answer(200, session(**tokens)))
    opened = world.connect().session

    assert opened.access_expires_at == datetime.fromtimestamp(now + 2 * HOUR, UTC)
    assert opened.refresh_expires_at == datetime.fromtimestamp(now + 90 * DAY, UTC)
