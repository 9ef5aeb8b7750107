"""Connected accounts: as a connect answers, as they are listed, how they are, and their sessions."""

from enum import StrEnum

from pydantic import Field

from connections.contract.base import PageMeta, Timestamp, WireModel
from connections.contract.errors import ErrorBody


class AccountStatus(StrEnum):
    ACTIVE = "active"
    RECONNECT_REQUIRED = "reconnect_required"
    DISCONNECTED = "disconnected"


class ConnectionType(StrEnum):
    BYO = "byo"
    MANAGED = "managed"


class Account(WireModel):
    """One connected account, as `data` of the 201 and `account` of a task carry it."""

    id: str
    profile_id: str
    platform: str
    account_name: str | None
    status: AccountStatus
    connection_type: ConnectionType
    connected_at: Timestamp
    external_account_id: str | None = None
    display_name: str | None = None
    avatar_url: str | None = None


class AccountAnswer(WireModel):
    """201: the seven documented fields at the top level, and the account once more under `data`,
    because the reference documents the first and the official SDKs read the second."""

    id: str
    profile_id: str
    platform: str
    account_name: str | None
    status: AccountStatus
    connection_type: ConnectionType
    connected_at: Timestamp
    data: Account
    request_id: str


class AccountSession(WireModel):
    """A live session of an account, for another service of the operator. What refreshes it is never part of it.

    `service_endpoint` is the origin of the account's server, which takes the access token until `expires_at`, as the
    token says; null when it does not.
    """

    account_id: str
    platform: str
    did: str
    handle: str | None
    service_endpoint: str
    access_token: str = Field(repr=False)
    expires_at: Timestamp | None


class AccountSessionAnswer(WireModel):
    data: AccountSession
    request_id: str


class DisconnectedAnswer(WireModel):
    """What a disconnect answers: the account as it is now."""

    data: Account
    request_id: str


class ListedAccount(Account):
    """An account as lists and look-ups carry it: also whose it is, in the workspace and in the caller's product."""

    profile_name: str
    external_user_id: str | None
    external_user_email: str | None


class ListedAccountAnswer(WireModel):
    data: ListedAccount
    request_id: str


class ListedAccountsAnswer(WireModel):
    data: list[ListedAccount]
    meta: PageMeta
    request_id: str


class AccountError(ErrorBody):
    """What its platform said last when it was asked to go on with the session, and when."""

    at: Timestamp


class AccountHealth(WireModel):
    """What is known of an account's connection, and since when.

    `last_successful_post_at` is for the SDKs: nothing here publishes. `next_refresh_at` is null unless the session is
    kept alive.
    """

    social_account_id: str
    platform: str
    status: AccountStatus
    status_since: Timestamp
    status_cause: str | None
    last_successful_post_at: Timestamp | None
    token_expires_at: Timestamp | None
    last_refreshed_at: Timestamp | None
    next_refresh_at: Timestamp | None
    refresh_failures: int
    last_error: AccountError | None


class AccountHealthAnswer(WireModel):
    data: AccountHealth
    request_id: str
