"""A worker process that misbehaves as ordered, with quick eyes on it. Started by `Stack.staged_worker`.

What an attempt does is the first word of its handle: `hang-1.test`. The variable STAGE is JSON: `acts`, of which
`well` makes every attempt succeed; `limits` of the watchdog, all others being out of reach; `folder`, where files are
the words that `Stack.tell` says.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any, NoReturn

from celery.exceptions import WorkerShutdown
from celery.signals import task_postrun, worker_ready

import worker.bootstrap
import worker.edge
import worker.heartbeat
import worker.watchdog
from cli.celery_processes import run_worker
from connections.settings import Settings
from connections.verified import Credentials, Refreshed, StoredAccount, VerifiedAccount
from tests.factories import verified
from tests.integration.worker.stack import THREADS
from worker.platforms.base import BeforeLogin
from worker.transport import LosableTransport
from worker.watchdog import Kind

STAGE = json.loads(os.environ["STAGE"])


def is_told(word: str) -> bool:
    return Path(STAGE["folder"], word).exists()


def hang() -> None:
    Event().wait()


def spin() -> None:
    while True:
        pass


def wait() -> None:
    while not is_told("go"):
        time.sleep(0.02)


def throw(error: BaseException) -> NoReturn:
    raise error


def recurse() -> None:
    recurse()


def throw_in_a_thread() -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(throw, SystemExit(3)).result()


ACTS: Mapping[str, Callable[[], object]] = {
    "hang": hang,
    "spin": spin,
    "wait": wait,
    "good": lambda: None,
    "exit": lambda: throw(SystemExit(3)),
    "interrupt": lambda: throw(KeyboardInterrupt()),
    "cancel": lambda: throw(asyncio.CancelledError()),
    "memory": lambda: throw(MemoryError()),
    "recursion": recurse,
    "thread": throw_in_a_thread,
}


class StagedPlatform:
    """Does as the handle says, then finds the account."""

    def login_name(self, credentials: Credentials) -> str | None:
        return None

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[None]:
        return nullcontext()

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        handle = credentials.identifier
        if "well" not in STAGE["acts"]:
            ACTS[handle.partition("-")[0]]()
        return verified(f"did:plc:{handle}", handle)

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        raise AssertionError("no session is refreshed here")

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        """There is none."""

    def end_retired(self, account: str, host: str, refresh_token: str, *, deadline: float) -> None:
        """There is none."""

    def open_circuits(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        """There is nothing to give back."""


def leak(**_: Any) -> None:
    """Gets past the edge as nothing of ours does, and Celery's pool lets it through."""
    raise WorkerShutdown(0)


def stand_still(sender: Any, **_: Any) -> None:
    def stand() -> None:
        if is_told("stand"):
            hang()

    sender.timer.call_repeatedly(0.05, stand)


class FailingLog:
    def exception(self, *_: object, **__: object) -> None:
        raise SystemExit(4)


def limits(_: Settings) -> Mapping[Kind, float]:
    return {kind: STAGE["limits"].get(kind.name, 3600.0) for kind in Kind}


REPLACED: tuple[tuple[ModuleType, str, object], ...] = (
    (worker.bootstrap, "build_platforms", lambda *_: {"bluesky": StagedPlatform()}),
    (worker.bootstrap, "limits", limits),
    (worker.watchdog, "LOOK_SECONDS", 0.2),
    (worker.watchdog, "_FAINT_SECONDS", 3.0),
    (worker.heartbeat, "_ALIVE_FOR_SECONDS", 1),
)


def main() -> None:
    for module, name, value in REPLACED:
        getattr(module, name)  # what is replaced exists
        setattr(module, name, value)
    if "long poll" in STAGE["acts"]:
        LosableTransport.brpop_timeout = 30
    if "leak" in STAGE["acts"]:
        task_postrun.connect(leak)
    if "stand still" in STAGE["acts"]:
        worker_ready.connect(stand_still)
    if "fail to log" in STAGE["acts"]:
        worker.edge.log = FailingLog()
    run_worker(THREADS, None)


if __name__ == "__main__":
    main()
