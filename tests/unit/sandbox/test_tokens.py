"""What only a clock can show: tokens that expire, and the grace of a replaced refresh token."""

import pytest

from sandbox.clock import Clock
from sandbox.tokens import ANY_ACCESS, Scope, Tokens
from sandbox.xrpc import XrpcError

HOUR = 60 * 60
DID = "did:plc:alice"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(clock, "did:web:localhost")


def test_an_access_token_lives_two_hours(tokens: Tokens, clock: Clock) -> None:
    access, _ = tokens.open(DID, Scope.APP_PASS)
    clock.advance(2 * HOUR - 10)
    assert tokens.check_access(access, ANY_ACCESS) == DID
    clock.advance(10)
    with pytest.raises(XrpcError, match="Token has expired") as refused:
        tokens.check_access(access, ANY_ACCESS)
    assert (refused.value.status, refused.value.error) == (400, "ExpiredToken")


def test_a_replaced_refresh_token_lives_two_more_hours(tokens: Tokens, clock: Clock) -> None:
    _, refresh = tokens.open(DID, Scope.APP_PASS)
    _, first_id = tokens.check_refresh(refresh)
    assert tokens.rotate(first_id) is not None
    clock.advance(2 * HOUR - 10)
    assert tokens.rotate(first_id) is not None
    assert len(tokens.live(DID)) == 2
    # Using it again gives no more time.
    clock.advance(10)
    assert tokens.rotate(first_id) is None
    assert [token.next_id for token in tokens.live(DID)] == [None]


def test_a_refresh_token_lives_ninety_days_and_can_be_deleted_later(tokens: Tokens, clock: Clock) -> None:
    _, refresh = tokens.open(DID, Scope.APP_PASS)
    clock.advance(90 * 24 * HOUR)
    with pytest.raises(XrpcError, match="Token has expired"):
        tokens.check_refresh(refresh)
    assert tokens.check_refresh(refresh, allow_expired=True)[0] == DID
    assert tokens.live(DID) == []


def test_tokens_of_another_host_are_refused(tokens: Tokens, clock: Clock) -> None:
    access, _ = Tokens(clock, "did:web:localhost").open(DID, Scope.ACCESS)
    with pytest.raises(XrpcError, match="could not be verified"):
        tokens.check_access(access, ANY_ACCESS)


def test_sessions_of_other_accounts_are_not_ended_with_an_account(tokens: Tokens) -> None:
    tokens.open(DID, Scope.APP_PASS)
    tokens.open("did:plc:bob", Scope.APP_PASS)
    tokens.revoke_all(DID)
    assert (len(tokens.live(DID)), len(tokens.live("did:plc:bob"))) == (0, 1)
