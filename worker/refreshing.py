"""Keeps the sessions of connected accounts alive: those that are due, some at a time, behind everybody who waits."""

import random
import time
from collections.abc import Callable
from functools import partial
from threading import BoundedSemaphore

import structlog

from connections.errors import (
    ConnectorError,
    HostFailing,
    KeyUnavailable,
    OutOfBudget,
    QueueUnavailable,
    ServiceUnavailable,
)
from connections.keeping import PutOff
from connections.refresh_dates import host_back_in, next_turn_in
from connections.urls import host_of
from worker.pace import bulk
from worker.session_keeper import Held, SessionKeeper

log = structlog.get_logger()

# What one run claims, and for how long it begins accounts. Short, so that a worker that is to end ends, and that those
# who are connecting meanwhile find a thread.
ACCOUNTS = 20
_RUN_SECONDS = 5.0

# One thread in so many, and one at least, may be at it.
_SHARE_OF_THREADS = 8


class Refresher:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        keeper: SessionKeeper,
        *,
        threads: int,
        ask: Callable[[], None],
        is_stopping: Callable[[], bool],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`ask` wants another run, and may raise `QueueUnavailable`. Once `is_stopping`, no account is begun."""
        self._keeper = keeper
        self._runs = BoundedSemaphore(max(1, threads // _SHARE_OF_THREADS))
        self._ask = ask
        self._is_stopping = is_stopping
        self._uniform = uniform

    def refresh_due(self) -> None:
        """One run, unless this worker has enough of them; it asks for another when it leaves more that can be done now.

        Raises `ServiceUnavailable`: leases end, and who was not stored is asked about again.
        """
        if not self._runs.acquire(blocking=False):
            return
        try:
            has_more = self._run()
        finally:
            self._runs.release()
        if has_more and not self._is_stopping():
            try:
                self._ask()
            except QueueUnavailable as error:
                log.debug("refresh_not_asked_for", cause=type(error).__name__)

    def _run(self) -> bool:
        """Whether there is more that may be done right now: all was claimed that could be, and some of it done."""
        begun = time.monotonic()
        lease = _RUN_SECONDS + self._keeper.lease_seconds
        claimed = self._keeper.keeping.claim_due(limit=ACCOUNTS, lease=lease)
        waits: dict[str, Callable[[], float]] = {}
        left: list[PutOff] = []
        done = 0
        with bulk():
            for number, account in enumerate(claimed):
                if self._is_stopping() or time.monotonic() > begun + _RUN_SECONDS:
                    left += [PutOff(one, 0.0) for one in claimed[number:]]
                    break
                host = host_of(account.host)
                if host in waits:
                    left.append(PutOff(account, waits[host]()))
                else:
                    done += self._refresh(Held(account, begun + lease), waits)
        self._keeper.keeping.put_off(left)
        return done > 0 and len(claimed) == ACCOUNTS

    def _refresh(self, held: Held, waits: dict[str, Callable[[], float]]) -> bool:
        """Whether somebody was asked. `waits` learns of hosts that are not to be asked, and when they may be."""
        try:
            self._keeper.refresh(held)
        except OutOfBudget as error:
            waits[error.host] = partial(next_turn_in, error.retry_after, self._uniform)
            return False
        except HostFailing:
            waits[host_of(held.account.host)] = partial(host_back_in, self._uniform)
            return False
        except KeyUnavailable:
            return False
        except ServiceUnavailable:
            raise
        except ConnectorError:
            return True
        return True
