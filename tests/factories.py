"""Rows and doubles that many tests need."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, insert

from connections.api_keys import new_api_key
from connections.contract import TaskStatus, WireModel
from connections.db import Database
from connections.errors import ConnectorError
from connections.ids import new_id
from connections.intake import ConnectCommand
from connections.messages import Queue
from connections.models import connect_batches, connect_tasks
from connections.repository import workspaces
from connections.repository.attempts import ClaimedTask
from connections.service import Caller
from connections.sqltime import from_now
from connections.vault import SealedFor, Sealer, key_id_of
from connections.verified import Credentials, Refreshed, Session, StoredAccount, VerifiedAccount
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


def make_tenant(
    database: Database, *, profiles: int = 1, key_expires_in: float | None = None, scopes: str = ""
) -> Tenant:
    with database.write() as connection:
        return _insert_tenant(connection, profiles, key_expires_in, scopes)


def _insert_tenant(connection: Connection, profiles: int, key_expires_in: float | None, scopes: str) -> Tenant:
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
        scopes=scopes,
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


class Shown(WireModel, extra="allow"):
    """What an event is about, whatever that is."""


@dataclass
class FakePlatform:
    """Answers each attempt with the next of `answers`, and with the last one for ever after.

    With `failing_account` its failures come from logging in to that account, without from before the login."""

    answers: list[VerifiedAccount | BaseException]
    failing_account: str | None = None
    seen: list[Credentials] = field(default_factory=list)
    ended: list[VerifiedAccount] = field(default_factory=list)
    ended_retired: list[tuple[str, str]] = field(default_factory=list)
    end_fails: BaseException | None = None
    refreshes: list[Callable[[StoredAccount], Refreshed] | BaseException] = field(default_factory=list)
    refreshed: list[StoredAccount] = field(default_factory=list)

    def login_name(self, credentials: Credentials) -> str | None:
        return None

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[None]:
        return nullcontext()

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        self.seen.append(credentials)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            if self.failing_account:
                before_login(self.failing_account, None)
            raise answer
        before_login(answer.external_id, answer.name)
        return answer

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        self.refreshed.append(account)
        answer = self.refreshes.pop(0) if len(self.refreshes) > 1 else self.refreshes[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer(account)

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        self.ended.append(account)

    def end_retired(self, account: str, host: str, refresh_token: str, *, deadline: float) -> None:
        self.ended_retired.append((host, refresh_token))
        if self.end_fails is not None:
            raise self.end_fails

    def open_circuits(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        """There is nothing to give back."""


def fail_with(error: ConnectorError) -> FakePlatform:
    return FakePlatform([error])


class NoLoginLimits(LoginLimits):
    """Counts no login."""

    def __init__(self) -> None:
        """Needs no Redis."""

    @contextmanager
    def together(self, logins: Sequence[tuple[ClaimedTask, str]] = ()) -> Iterator[None]:
        yield

    @contextmanager
    def count(self, task: ClaimedTask) -> Iterator[BeforeLogin]:
        yield lambda external_id, name: None


@dataclass(frozen=True, slots=True)
class MadeBatch:
    """A batch in the tables, accepted; `task_ids` in the order of its rows."""

    id: str
    task_ids: list[str]


def make_batch(
    database: Database,
    tenant: Tenant,
    people: Sequence[str],
    sealer: Sealer,
    *,
    password: str = "correct",
    max_attempts: int = 12,
    expires_in: float = 3600.0,
    is_accepted: bool = True,
) -> MadeBatch:
    """A batch with a row for each identifier in `people`, as the API leaves it."""
    batch_id, task_ids = new_id("cb"), [new_id("ct") for _ in people]
    fingerprints = sealer.fingerprints()
    rows = []
    for number, (task_id, identifier) in enumerate(zip(task_ids, people, strict=True), start=1):
        sealed = sealer.seal(
            {"identifier": identifier, "password": password},
            SealedFor(task_id=task_id, workspace_id=tenant.workspace_id),
        )
        rows.append(
            {
                "id": task_id,
                "sealed_credentials": sealed,
                "sealing_key": key_id_of(sealed),
                "fingerprint": fingerprints.of(batch_id, str(number)),
                "batch_row": number,
            }
        )
    batch = insert(connect_batches).values(
        id=batch_id,
        workspace_id=tenant.workspace_id,
        platform="bluesky",
        request_id="req_1",
        total=len(people),
        created_at=from_now(),
        accepted_at=from_now() if is_accepted else None,
    )
    task = insert(connect_tasks).values(
        id=bindparam("id"),
        sealed_credentials=bindparam("sealed_credentials"),
        sealing_key=bindparam("sealing_key"),
        fingerprint=bindparam("fingerprint"),
        batch_row=bindparam("batch_row"),
        batch_id=batch_id,
        workspace_id=tenant.workspace_id,
        profile_id=tenant.profile_ids[0],
        platform="bluesky",
        queue=Queue.BULK,
        status=TaskStatus.QUEUED,
        request_id="req_1",
        attempts=0,
        max_attempts=max_attempts,
        fence=0,
        available_at=from_now(),
        sweep_at=from_now(expires_in),
        sweeps=0,
        expires_at=from_now(expires_in),
        created_at=from_now(),
        dispatch_at=from_now(),
    )
    with database.write() as connection:
        connection.execute(batch)
        connection.execute(task, rows)
    return MadeBatch(batch_id, task_ids)
