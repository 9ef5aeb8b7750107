"""The inline handler with a client per slot that also keeps what we keep: the task's row before the login, and after it
the account with encrypted tokens and the task's outcome in one transaction. What it lacks is everything that brings a
connect back when the process dies in between.
"""

import os
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import insert, update

from bench.compare.contenders.inline import InlineCaller, Request, serve
from bench.compare.job import Bluesky, Job, Kept
from connections.contract import AccountStatus, ConnectionType, TaskStatus
from connections.db import Database
from connections.ids import new_id
from connections.models import accounts, connect_tasks
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import TokenCipher, WorkerKeys
from connections.verified import Session

open_caller = InlineCaller


class Handler:
    """Database, keys and client of the one process that does it all."""

    def __init__(self) -> None:
        settings = Settings(var_dir=Path(os.environ["BENCH_VAR"]))
        self._database = Database(os.environ["BENCH_DATABASE"], pool_size=16)
        self._cipher = TokenCipher(WorkerKeys.load(settings.worker_keys_path, settings))
        self._bluesky = Bluesky(Job.from_environment())
        self._workspace, self._profile = os.environ["BENCH_WORKSPACE"], os.environ["BENCH_PROFILE"]

    def connect(self, request: Request) -> str:
        """The account's id."""
        task_id = self._accept()
        kept = self._bluesky.connect(request.identifier, request.password)
        return self._settle(task_id, kept)

    def _accept(self) -> str:
        task_id = new_id("ct")
        task = insert(connect_tasks).values(
            id=task_id,
            workspace_id=self._workspace,
            profile_id=self._profile,
            platform="bluesky",
            queue="inline",
            status=TaskStatus.RUNNING,
            request_id="bench",
            fingerprint=task_id.encode().ljust(32)[:32],
            attempts=1,
            max_attempts=1,
            fence=1,
            available_at=from_now(),
            sweep_at=from_now(30.0),
            sweeps=0,
            expires_at=from_now(120.0),
            created_at=from_now(),
        )
        with self._database.write() as connection:
            connection.execute(task)
        return task_id

    def _settle(self, task_id: str, kept: Kept) -> str:
        account_id = new_id("sa")
        session = self._cipher.encrypt_session(account_id, Session(kept["access_token"], kept["refresh_token"]))
        account = insert(accounts).values(
            id=account_id,
            workspace_id=self._workspace,
            profile_id=self._profile,
            platform="bluesky",
            external_id=kept["did"],
            account_name=kept["handle"],
            host="https://bsky.test",
            status=AccountStatus.ACTIVE,
            connection_type=ConnectionType.BYO,
            access_token=session.access_token,
            refresh_token=session.refresh_token,
            token_key=session.token_key,
            connected_at=from_now(),
        )
        outcome = {"account": {"id": account_id, "account_name": kept["handle"], "external_account_id": kept["did"]}}
        task = update(connect_tasks).where(connect_tasks.c.id == task_id)
        task = task.values(status=TaskStatus.SUCCEEDED, finished_at=from_now(), outcome=outcome)
        with self._database.write() as connection:
            connection.execute(account)
            connection.execute(task)
        return account_id


def build_app() -> FastAPI:
    app, handler = FastAPI(), Handler()

    @app.post("/connect")
    def connect(request: Request) -> dict[str, str]:
        return {"account": handler.connect(request)}

    return app


if __name__ == "__main__":
    serve(build_app())
