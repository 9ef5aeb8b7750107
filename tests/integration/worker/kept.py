"""Accounts whose sessions are kept alive at a sandbox, and workers that do it in this process."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, select, update

from connections.contract import AccountStatus
from connections.db import Database
from connections.ids import new_id
from connections.keeping import Keeping
from connections.models import accounts, retired_sessions
from connections.repository.accounts import NewAccount, insert_account
from connections.settings import Environment, Settings
from connections.sqltime import from_now
from connections.vault import Cell, TokenCipher, WorkerKeys
from connections.verified import Credentials, VerifiedAccount
from sandbox.client import ControlClient, SandboxAccount
from tests.factories import Tenant, make_tenant
from worker.metrics import WorkerMetrics
from worker.pace import Pace, Unpaced
from worker.platforms.base import Platform
from worker.platforms.bluesky.adapter import Bluesky
from worker.refreshing import Refresher
from worker.session_keeper import SessionKeeper
from worker.sessions import KeptSessions

DAY = 86_400.0


@dataclass
class Worker:
    """The parts of one worker that refresh sessions."""

    platform: Platform
    keeper: SessionKeeper
    refresher: Refresher
    sessions: KeptSessions
    asked: list[None]
    metrics: WorkerMetrics


@dataclass
class Fleet:
    """A database, and workers on it."""

    database: Database
    control: ControlClient
    settings: Settings
    keys: WorkerKeys = field(default_factory=lambda: WorkerKeys.generate(Environment.DEVELOPMENT))
    workers: list[Worker] = field(default_factory=list)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.tenant: Tenant = make_tenant(self.database)
        self.cipher = TokenCipher(self.keys)

    def worker(
        self, pace: Pace | None = None, platform: Platform | None = None, *, attempt_seconds: float = 10.0
    ) -> Worker:
        platform = platform or Bluesky(self.settings, pace or Unpaced())
        metrics = WorkerMetrics()
        keeper = SessionKeeper(
            Keeping(self.database, self.cipher),
            {"bluesky": platform},
            every=DAY,
            attempt_seconds=attempt_seconds,
            is_stopping=lambda: self.stopping,
            metrics=metrics,
        )
        asked: list[None] = []
        refresher = Refresher(keeper, threads=64, ask=lambda: asked.append(None), is_stopping=lambda: self.stopping)
        worker = Worker(platform, keeper, refresher, KeptSessions(keeper), asked, metrics)
        self.workers.append(worker)
        return worker

    def log_in(self, account: SandboxAccount) -> VerifiedAccount:
        platform = Bluesky(self.settings, Unpaced())
        try:
            return platform.connect(
                Credentials(account.did, account.app_password),
                deadline=time.monotonic() + 10,
                before_login=lambda _id, _name: None,
            )
        finally:
            platform.close()

    def connect(self, account: SandboxAccount, *, due_in: float = -1.0) -> str:
        [account_id] = self.store(self.log_in(account), due_in=due_in)
        return account_id

    def store(self, *verified: VerifiedAccount, due_in: float = -1.0) -> list[str]:
        new = [self._new(one, due_in) for one in verified]
        with self.database.write() as connection:
            for account in new:
                assert insert_account(connection, account)
        return [account.id for account in new]

    def _new(self, verified: VerifiedAccount, due_in: float) -> NewAccount:
        account_id = new_id("sa")
        return NewAccount(
            id=account_id,
            workspace_id=self.tenant.workspace_id,
            profile_id=self.tenant.profile_ids[0],
            platform="bluesky",
            external_id=verified.external_id,
            account_name=verified.name,
            display_name=None,
            avatar_url=None,
            host=verified.host,
            session=self.cipher.encrypt_session(account_id, verified.session),
            access_expires_at=verified.session.access_expires_at,
            refresh_in=due_in,
        )

    def row(self, account_id: str) -> RowMapping:
        with self.database.read() as connection:
            return connection.execute(select(accounts).where(accounts.c.id == account_id)).mappings().one()

    def status(self, account_id: str) -> AccountStatus:
        return AccountStatus(self.row(account_id)["status"])

    def refresh_token(self, account_id: str) -> str:
        return self.open(account_id, self.row(account_id)["refresh_token"])

    def open(self, account_id: str, token: bytes) -> str:
        return self.cipher.decrypt(token, Cell(account_id, "refresh_token"))

    def retired(self, account_id: str) -> list[RowMapping]:
        query = select(retired_sessions).where(retired_sessions.c.account_id == account_id)
        with self.database.read() as connection:
            return list(connection.execute(query.order_by(retired_sessions.c.retired_at)).mappings())

    def due(self, account_id: str, **changes: Any) -> None:
        """Lets it be refreshed now."""
        with self.database.write() as connection:
            connection.execute(
                update(accounts).where(accounts.c.id == account_id).values(refresh_at=from_now(-1.0), **changes)
            )

    def due_in(self, account_id: str) -> float:
        query = select(accounts.c.refresh_at, from_now().label("now")).where(accounts.c.id == account_id)
        with self.database.read() as connection:
            row = connection.execute(query).one()
        return float((row.refresh_at - row.now).total_seconds())

    def close(self) -> None:
        for worker in self.workers:
            worker.platform.close()


def outcomes(worker: Worker) -> Mapping[str, float]:
    """How many refreshes had each outcome."""
    [family] = [one for one in worker.metrics.registry.collect() if one.name == "connector_refreshes"]
    return {
        sample.labels["outcome"]: sample.value
        for sample in family.samples
        if sample.name == "connector_refreshes_total"
    }
