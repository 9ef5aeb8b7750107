"""Rows and doubles that many tests need."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection

from connections.api_keys import new_api_key
from connections.db import Database
from connections.errors import ConnectorError
from connections.ids import new_id
from connections.intake import ConnectCommand
from connections.repository import workspaces
from connections.repository.tasks import ClaimedTask
from connections.service import Caller
from connections.verified import Credentials, Session, VerifiedAccount
from worker.login_limits import LoginLimits
from worker.platforms.base import BeforeLogin


@dataclass(frozen=True, slots=True)
class Tenant:
    """A workspace with its profiles and one key."""

    workspace_id: str
    profile_ids: tuple[str, ...]
    key: str
    key_prefix: str

    @property
    def caller(self) -> Caller:
        return Caller(workspace_id=self.workspace_id, key_id="key")


def make_tenant(database: Database, *, profiles: int = 1, key_expires_in: float | None = None) -> Tenant:
    with database.write() as connection:
        return _insert_tenant(connection, profiles, key_expires_in)


def _insert_tenant(connection: Connection, profiles: int, key_expires_in: float | None) -> Tenant:
    workspace_id, key = new_id("ws"), new_api_key(live=False)
    workspaces.insert_workspace(connection, workspace_id=workspace_id, name="Acme")
    profile_ids = tuple(new_id("pr") for _ in range(profiles))
    for profile_id in profile_ids:
        workspaces.insert_profile(connection, profile_id=profile_id, workspace_id=workspace_id, name="Default")
    workspaces.insert_api_key(
        connection,
        key_id=new_id("key"),
        workspace_id=workspace_id,
        name="test",
        prefix=key.prefix,
        secret_hash=key.secret_hash,
        expires_in=key_expires_in,
    )
    return Tenant(workspace_id, profile_ids, key.key, key.prefix)


def connect_command(
    identifier: str = "alice.test", password: str = "correct", profile_id: str | None = None
) -> ConnectCommand:
    return ConnectCommand("bluesky", identifier, password, profile_id)


def verified(external_id: str = "did:plc:alice", name: str = "alice.test") -> VerifiedAccount:
    return VerifiedAccount(
        external_id=external_id, name=name, host="https://pds.test", session=Session("access-canary", "refresh-canary")
    )


@dataclass
class FakePlatform:
    """Answers each attempt with the next of `answers`, and with the last one for ever after.

    With `failing_account` its failures come from logging in to that account, without from before the login."""

    answers: list[VerifiedAccount | BaseException]
    failing_account: str | None = None
    seen: list[Credentials] = field(default_factory=list)
    ended: list[VerifiedAccount] = field(default_factory=list)

    def connect(self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin) -> VerifiedAccount:
        self.seen.append(credentials)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            if self.failing_account:
                before_login(self.failing_account, None)
            raise answer
        before_login(answer.external_id, answer.name)
        return answer

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        self.ended.append(account)

    def close(self) -> None:
        """There is nothing to give back."""


def fail_with(error: ConnectorError) -> FakePlatform:
    return FakePlatform([error])


class NoLoginLimits(LoginLimits):
    """Counts no login."""

    def __init__(self) -> None:
        """Needs no Redis."""

    @contextmanager
    def count(self, task: ClaimedTask) -> Iterator[Callable[[str], None]]:
        yield lambda external_id: None
