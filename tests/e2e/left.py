"""Looks into what an account has, and replaces its refresh token as a refresh does."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select, update

from connections.ids import new_id
from connections.models import accounts, retired_sessions
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import Cell, FileKeyStore, TokenCipher
from connections.verified import Session
from tests.e2e.stack import Service

# How long a token works after it was replaced, as the reference source has it.
GRACE_SECONDS = 7200.0

Refresh = Callable[[str], Session]
"""Asks the platform to replace a refresh token."""


def cipher_of(service: Service) -> TokenCipher:
    """With the keys of the service's workers."""
    return TokenCipher(FileKeyStore(Settings(var_dir=Path(service.environment["CONNECTOR_VAR_DIR"]))).load_ring())


def refresh_token(service: Service, account_id: str) -> str:
    with service.database.read() as connection:
        stored = connection.execute(select(accounts.c.refresh_token).where(accounts.c.id == account_id)).scalar_one()
    return cipher_of(service).decrypt(stored, Cell(account_id, "refresh_token"))


def replace_session(service: Service, account_id: str, refresh: Refresh) -> str:
    """Refreshes the session by hand, and gives the token that was replaced."""
    replaced = refresh_token(service, account_id)
    new = cipher_of(service).encrypt_session(account_id, refresh(replaced))
    with service.database.write() as connection:
        row = connection.execute(select(accounts).where(accounts.c.id == account_id)).one()
        connection.execute(
            retired_sessions.insert().values(
                id=new_id("rs"),
                account_id=account_id,
                platform=row.platform,
                host=row.host,
                refresh_token=row.refresh_token,
                token_key=row.token_key,
                retired_at=from_now(),
                expires_at=from_now(GRACE_SECONDS),
            )
        )
        connection.execute(
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(
                access_token=new.access_token,
                refresh_token=new.refresh_token,
                token_key=new.token_key,
                refresh_at=from_now(GRACE_SECONDS),
            )
        )
    return replaced


def left_sessions(service: Service, account_id: str) -> int:
    """How many of the account's sessions wait to be ended, or may have to."""
    with service.database.read() as connection:
        query = select(retired_sessions.c.id).where(retired_sessions.c.account_id == account_id)
        return len(connection.execute(query).all())
