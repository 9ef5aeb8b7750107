"""What a workspace's holder sees of its accounts. Blocking; call it from a thread."""

from datetime import datetime

from connections.contract import AccountError, AccountHealth, ListedAccount
from connections.db import Database
from connections.intake import is_id, no_such_account, refused, unknown_profile
from connections.paging import Page, read_page
from connections.repository import account_pages, workspaces
from connections.repository.account_pages import AccountFilter, HealthRow
from connections.service import Caller


class Accounts:
    """One per API process, used by its threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, caller: Caller, wanted: AccountFilter, *, before: str | None = None, limit: int
    ) -> Page[ListedAccount]:
        """The latest first, `limit` of them at most; after the account with the id `before`, if there is one given.

        Raises `ValidationFailed` for a profile that is not the caller's.
        """
        workspace_id, profile_id = caller.workspace_id, wanted.profile_id
        with self._database.read() as connection:
            if profile_id is not None and not (
                is_id(profile_id) and workspaces.has_profile(connection, workspace_id, profile_id)
            ):
                raise refused([unknown_profile()])
            return read_page(
                lambda most: account_pages.account_page(connection, workspace_id, wanted, before=before, limit=most),
                limit,
            )

    def get(self, caller: Caller, account_id: str) -> ListedAccount:
        """Raises `NotFound` for an account that does not exist or belongs to another workspace, as `health` does."""
        if is_id(account_id):
            with self._database.read() as connection:
                account = account_pages.account_of(connection, caller.workspace_id, account_id)
            if account is not None:
                return account
        raise no_such_account()

    def health(self, caller: Caller, account_id: str) -> AccountHealth:
        """What is known of the account's connection, without asking its platform."""
        if is_id(account_id):
            with self._database.read() as connection:
                row = account_pages.account_health(connection, caller.workspace_id, account_id)
            if row is not None:
                return _health(row)
        raise no_such_account()


def _health(row: HealthRow) -> AccountHealth:
    return AccountHealth(
        social_account_id=row.id,
        platform=row.platform,
        status=row.status,
        status_since=row.status_since,
        status_cause=row.status_cause,
        last_successful_post_at=None,
        token_expires_at=row.token_expires_at,
        last_refreshed_at=row.refreshed_at,
        next_refresh_at=_next_refresh(row.refresh_at, row.connected_at),
        refresh_failures=row.refresh_failures,
        last_error=_last_error(row),
    )


def _next_refresh(refresh_at: datetime | None, connected_at: datetime) -> datetime | None:
    """An account of an older version has been due for ever, which is since it was connected."""
    return None if refresh_at is None else max(refresh_at, connected_at)


def _last_error(row: HealthRow) -> AccountError | None:
    if row.last_error is None or row.last_error_at is None:
        return None
    return AccountError.model_validate({**row.last_error, "at": row.last_error_at})
