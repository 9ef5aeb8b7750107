"""Sessions that are due to be refreshed: taken by one worker at a time, and replaced, given up or put off by it.

`refresh_at` is when an account may be taken, and while a worker has it the end of its lease. Whoever takes it makes
`refresh_fence` odd, and even again when done, so that somebody who cannot wait for the date knows whether one has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, delete, insert, null, or_, select, update

from connections.contract import Account, AccountStatus
from connections.ids import new_id
from connections.models import IS_KEPT_ALIVE, accounts, retired_sessions
from connections.repository.accounts import SHOWN
from connections.repository.retiring import END_WITHIN_SECONDS
from connections.sqltime import from_now
from connections.vault import EncryptedSession

# For so long a refresh token works on that was replaced.
GRACE_SECONDS = 7200.0


@dataclass(frozen=True, slots=True)
class ClaimedAccount:
    """An account whose session is this worker's to refresh, its tokens encrypted. `failures` are those in a row."""

    id: str
    workspace_id: str
    platform: str
    external_id: str
    account_name: str | None
    host: str
    access_token: bytes | None = field(repr=False)
    refresh_token: bytes = field(repr=False)
    fence: int
    failures: int


_CLAIMED = (
    accounts.c.id,
    accounts.c.workspace_id,
    accounts.c.platform,
    accounts.c.external_id,
    accounts.c.account_name,
    accounts.c.host,
    accounts.c.access_token,
    accounts.c.refresh_token,
    accounts.c.refresh_fence.label("fence"),
    accounts.c.refresh_failures.label("failures"),
)
_IS_DUE = and_(IS_KEPT_ALIVE, accounts.c.refresh_at <= from_now())
_IS_TAKEN = accounts.c.refresh_fence % 2 == 1
_TAKEN = {"refresh_fence": accounts.c.refresh_fence + 1 + accounts.c.refresh_fence % 2, "refresh_at": from_now("lease")}
# Above every claim before it, and nobody's.
FREED = accounts.c.refresh_fence + 2 - accounts.c.refresh_fence % 2
_DONE = {"refresh_fence": FREED}


def seconds_overdue(connection: Connection) -> float | None:
    """For how long the session has been due that has waited longest; None when none is due."""
    row = connection.execute(_longest_due()).first()
    return None if row is None else (row.now - row.refresh_at).total_seconds()


@cache
def _longest_due() -> Any:
    return (
        select(accounts.c.refresh_at, from_now().label("now")).where(_IS_DUE).order_by(accounts.c.refresh_at).limit(1)
    )


def claim_due_accounts(
    connection: Connection, *, limit: int, lease: float, due_within: float | None = None
) -> list[ClaimedAccount]:
    """Takes accounts for `lease` seconds that are due, those that have waited longest first; with `due_within` only
    those that have waited for less. Those that another transaction has locked are left to it."""
    parameters = {"most": limit, "lease": lease}
    if due_within is not None:
        parameters["since"] = -due_within
    rows = connection.execute(_claiming_due(is_bounded=due_within is not None), parameters)
    return [ClaimedAccount(**row._mapping) for row in rows]


@cache
def _claiming_due(*, is_bounded: bool) -> Any:
    # A common table expression, because Postgres may run a subquery more than once, and with it the limit.
    due = (
        select(accounts.c.id)
        .where(_IS_DUE, *([accounts.c.refresh_at > from_now("since")] if is_bounded else []))
        .order_by(accounts.c.refresh_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return update(accounts).where(accounts.c.id.in_(select(due.c.id))).values(_TAKEN).returning(*_CLAIMED)


def claim_account(
    connection: Connection, account_id: str, *, fence: int, lease: float, longest_lease: float
) -> ClaimedAccount | None:
    """Takes one account whether it is due or not, as it was when it had this fence; None when a worker has it or has
    had it since, or when there is no session to be refreshed.

    `longest_lease` is what any worker takes one for.
    """
    parameters = {"account": account_id, "fence": fence, "lease": lease, "longest_lease": longest_lease}
    row = connection.execute(_claiming_one(), parameters).first()
    return None if row is None else ClaimedAccount(**row._mapping)


@cache
def _claiming_one() -> Any:
    return (
        update(accounts)
        .where(
            accounts.c.id == bindparam("account"),
            accounts.c.refresh_fence == bindparam("fence"),
            IS_KEPT_ALIVE,
            or_(
                ~_IS_TAKEN,
                accounts.c.refresh_at <= from_now(),
                # A date and no lease: whatever has happened to the fence.
                accounts.c.refresh_at > from_now("longest_lease"),
            ),
        )
        .values(_TAKEN)
        .returning(*_CLAIMED)
    )


def lock_claimed(connection: Connection, account_id: str, *, fence: int) -> bool:
    """Whether the account is still the claim's; if so nobody else changes it until the end of the transaction."""
    query = select(accounts.c.id).where(_is_claims(), accounts.c.refresh_token.is_not(None)).with_for_update()
    return connection.execute(query, {"account": account_id, "fence": fence}).first() is not None


def _is_claims() -> ColumnElement[bool]:
    return and_(
        accounts.c.id == bindparam("account"),
        accounts.c.refresh_fence == bindparam("fence"),
        accounts.c.status == AccountStatus.ACTIVE,
    )


def replace_refreshed(
    connection: Connection,
    account_id: str,
    session: EncryptedSession,
    *,
    account_name: str | None,
    host: str,
    access_expires_at: datetime | None,
    refresh_in: float,
    error: dict[str, Any] | None,
) -> None:
    """Gives a locked account its next session, and keeps the refresh token before while that still works. `error` is
    what there is to say of the account all the same."""
    connection.execute(_keep_replaced(), {"account": account_id, "session": new_id("rs")})
    connection.execute(
        _replacing(),
        {
            "account": account_id,
            "new_access": session.access_token,
            "new_refresh": session.refresh_token,
            "new_key": session.token_key,
            "new_name": account_name,
            "new_host": host,
            "expires": access_expires_at,
            "refresh_in": refresh_in,
            "error": error,
        },
    )


@cache
def _keep_replaced() -> Any:
    copied = ("platform", "host", "refresh_token", "token_key")
    current = select(
        bindparam("session", type_=retired_sessions.c.id.type),
        accounts.c.id,
        *(accounts.c[name] for name in copied),
        from_now(),
        from_now(GRACE_SECONDS),
    ).where(accounts.c.id == bindparam("account"))
    return insert(retired_sessions).from_select(["id", "account_id", *copied, "retired_at", "expires_at"], current)


@cache
def _replacing() -> Any:
    error = bindparam("error", type_=accounts.c.last_error.type)
    return (
        update(accounts)
        .where(accounts.c.id == bindparam("account"))
        .values(
            {
                **_DONE,
                "access_token": bindparam("new_access"),
                "refresh_token": bindparam("new_refresh"),
                "token_key": bindparam("new_key"),
                "account_name": bindparam("new_name"),
                "host": bindparam("new_host"),
                "access_expires_at": bindparam("expires", type_=accounts.c.access_expires_at.type),
                "refreshed_at": from_now(),
                "refresh_at": from_now("refresh_in"),
                "refresh_failures": 0,
                "last_error": error,
                "last_error_at": case((error.is_not(None), from_now())),
            }
        )
    )


def give_up_session(
    connection: Connection, account_id: str, *, fence: int, cause: str, error: dict[str, Any]
) -> Account | None:
    """Erases the tokens of an account that its platform has refused, and gives the account as it is then; None when it
    is not the claim's any more."""
    row = connection.execute(
        _giving_up(), {"account": account_id, "fence": fence, "cause": cause, "error": error}
    ).first()
    if row is None:
        return None
    # What it had before that works no more either. What is to be ended is another session's.
    replaced = delete(retired_sessions).where(
        retired_sessions.c.account_id == account_id, retired_sessions.c.end_at.is_(None)
    )
    connection.execute(replaced)
    return Account(**row._mapping)


@cache
def _giving_up() -> Any:
    return (
        update(accounts)
        .where(_is_claims())
        .values(
            {
                **_DONE,
                "status": AccountStatus.RECONNECT_REQUIRED,
                "status_since": from_now(),
                "status_cause": bindparam("cause"),
                "access_token": null(),
                "refresh_token": null(),
                "token_key": null(),
                "access_expires_at": null(),
                "refresh_failures": accounts.c.refresh_failures + 1,
                "last_error": bindparam("error", type_=accounts.c.last_error.type),
                "last_error_at": from_now(),
            }
        )
        .returning(*SHOWN)
    )


def note_refresh_failure(
    connection: Connection, account_id: str, *, fence: int, retry_in: float, error: dict[str, Any]
) -> None:
    """One more failure in a row, and the next try in `retry_in` seconds, if the account is still the claim's."""
    connection.execute(_FAIL, {"account": account_id, "fence": fence, "retry_in": retry_in, "error": error})


_FAIL = (
    update(accounts)
    .where(_is_claims())
    .values(
        {
            **_DONE,
            "refresh_at": from_now("retry_in"),
            "refresh_failures": accounts.c.refresh_failures + 1,
            "last_error": bindparam("error", type_=accounts.c.last_error.type),
            "last_error_at": from_now(),
        }
    )
)


def put_off_refreshes(connection: Connection, claims: Sequence[tuple[str, int, float]]) -> None:
    """Lets go of claimed accounts: id, fence, and in how many seconds another claim may take them."""
    if claims:
        # In one order wherever it is done at once, or two transactions could wait for each other.
        connection.execute(
            _PUT_OFF,
            [{"account": account, "fence": fence, "due_in": due_in} for account, fence, due_in in sorted(claims)],
        )


_PUT_OFF = update(accounts).where(_is_claims()).values({**_DONE, "refresh_at": from_now("due_in")})


@dataclass(frozen=True, slots=True)
class SessionOnFile:
    """An account's session, encrypted, as it stands. `left` is for how many seconds its access token works by what it
    says itself, None where it does not."""

    id: str
    platform: str
    external_id: str
    account_name: str | None
    host: str
    status: str
    fence: int
    access_token: bytes | None = field(repr=False)
    refresh_token: bytes | None = field(repr=False)
    access_expires_at: datetime | None
    now: datetime

    @property
    def left(self) -> float | None:
        return None if self.access_expires_at is None else (self.access_expires_at - self.now).total_seconds()


def session_on_file(connection: Connection, account_id: str, workspace_id: str) -> SessionOnFile | None:
    """None when the workspace has no such account."""
    row = connection.execute(_session_on_file(), {"account": account_id, "workspace": workspace_id}).first()
    return None if row is None else SessionOnFile(**row._mapping)


@cache
def _session_on_file() -> Any:
    return select(
        accounts.c.id,
        accounts.c.platform,
        accounts.c.external_id,
        accounts.c.account_name,
        accounts.c.host,
        accounts.c.status,
        accounts.c.refresh_fence.label("fence"),
        accounts.c.access_token,
        accounts.c.refresh_token,
        accounts.c.access_expires_at,
        from_now().label("now"),
    ).where(accounts.c.id == bindparam("account"), accounts.c.workspace_id == bindparam("workspace"))


def tokens_in_grace(connection: Connection, account_id: str) -> list[bytes]:
    """The refresh tokens that the account's session had before, encrypted, while it lives."""
    query = select(retired_sessions.c.refresh_token).where(
        retired_sessions.c.account_id == account_id, retired_sessions.c.end_at.is_(None)
    )
    return list(connection.execute(query).scalars())


def retire_unkept(
    connection: Connection, account_id: str, *, platform: str, host: str, refresh_token: bytes, token_key: str
) -> None:
    """A session that was opened and belongs to no account any more is to be ended from now on."""
    connection.execute(
        insert(retired_sessions).values(
            id=new_id("rs"),
            account_id=account_id,
            platform=platform,
            host=host,
            refresh_token=refresh_token,
            token_key=token_key,
            retired_at=from_now(),
            expires_at=from_now(END_WITHIN_SECONDS),
            end_at=from_now(),
        )
    )
