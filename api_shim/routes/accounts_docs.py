"""What the documentation says of the routes that read accounts."""

from typing import Any

from api_shim.documented import (
    EXAMPLE_ACCOUNT_ID,
    EXAMPLE_PROFILE_ID,
    EXAMPLE_REQUEST_ID,
    WITH_A_KEY,
    answers,
    failures,
)
from connections.contract import AccountHealthAnswer, ListedAccountAnswer, ListedAccountsAnswer
from connections.errors import NotFound, UpstreamFailed, ValidationFailed
from connections.intake import unknown_profile

_ACCOUNT = {
    "id": EXAMPLE_ACCOUNT_ID,
    "profile_id": EXAMPLE_PROFILE_ID,
    "profile_name": "Default",
    "platform": "bluesky",
    "account_name": "alice.bsky.social",
    "status": "active",
    "connection_type": "byo",
    "connected_at": "2026-11-23T10:00:00.123Z",
    "external_account_id": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
    "display_name": None,
    "avatar_url": None,
    "external_user_id": None,
    "external_user_email": None,
}
_HEALTH = {
    "social_account_id": EXAMPLE_ACCOUNT_ID,
    "platform": "bluesky",
    "status": "active",
    "status_since": "2026-11-23T10:00:00.123Z",
    "status_cause": None,
    "last_successful_post_at": None,
    "token_expires_at": "2026-11-24T13:30:00.000Z",
    "last_refreshed_at": "2026-11-24T11:30:00.000Z",
    "next_refresh_at": "2026-11-24T13:00:00.000Z",
    "refresh_failures": 0,
    "last_error": None,
}
_FAILING = _HEALTH | {
    "next_refresh_at": "2026-11-24T13:06:00.000Z",
    "refresh_failures": 2,
    "last_error": UpstreamFailed().describe().model_dump(mode="json") | {"at": "2026-11-24T13:02:00.000Z"},
}
_LOST = _HEALTH | {
    "status": "reconnect_required",
    "status_since": "2026-11-25T08:00:00.000Z",
    "status_cause": "session_refused",
    "next_refresh_at": None,
}

_ONE = (*WITH_A_KEY, NotFound("There is no such account."))

LIST_ACCOUNTS: dict[str, Any] = {
    "summary": "List accounts",
    "responses": {
        200: answers(
            ListedAccountsAnswer,
            description="A page of accounts. Accounts that are connected meanwhile move no later page.",
            example={
                "data": [_ACCOUNT],
                "meta": {"limit": 1, "next_cursor": EXAMPLE_ACCOUNT_ID, "has_more": True},
                "request_id": EXAMPLE_REQUEST_ID,
            },
        ),
        **failures(*WITH_A_KEY, ValidationFailed(unknown_profile().message, issues=[unknown_profile()])),
    },
}

GET_ACCOUNT: dict[str, Any] = {
    "summary": "Look at an account",
    "responses": {
        200: answers(
            ListedAccountAnswer,
            description="The account.",
            example={"data": _ACCOUNT, "request_id": EXAMPLE_REQUEST_ID},
        ),
        **failures(*_ONE),
    },
}

GET_HEALTH: dict[str, Any] = {
    "summary": "Look at an account's health",
    "responses": {
        200: answers(
            AccountHealthAnswer,
            description="What is known.",
            examples={
                name: {"summary": summary, "value": {"data": health, "request_id": EXAMPLE_REQUEST_ID}}
                for name, summary, health in (
                    ("Well", "Kept alive", _HEALTH),
                    ("Failing", "Its server fails, and is asked again", _FAILING),
                    ("Lost", "Must be connected again", _LOST),
                )
            },
        ),
        **failures(*_ONE),
    },
}
