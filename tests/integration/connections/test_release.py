"""Leases that end before their time. On SQLite and on Postgres."""

from datetime import UTC, datetime

import pytest

from connections.contract import TaskStatus
from connections.db import Database
from connections.errors import CredentialsRejected, UpstreamFailed
from connections.outcome import Outcome
from connections.repository.attempts import ClaimedTask
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from tests.factories import Tenant, connect_command, make_tenant, verified

LEASE_SECONDS = 30.0


class Bench:
    """Two workers and what they work on."""

    def __init__(self, database: Database, keys: WorkerKeys, settings: Settings) -> None:
        self.tenant: Tenant = make_tenant(database)
        self.service = ConnectService(database, Sealer(keys.for_shim()), settings)
        self.ending, self.other = (
            Settlement(database, Opener(keys), TokenCipher(keys), lease_seconds=LEASE_SECONDS) for _ in range(2)
        )

    def accept(self) -> str:
        return self.service.accept(
            self.tenant.caller, connect_command(), request_id="req_1", reply_to="shim_1", wait=25
        ).task_id

    def claimed(self) -> ClaimedTask:
        """By the worker that ends."""
        task = self.ending.claim(self.accept())
        assert task is not None
        return task

    def status(self, task_id: str) -> TaskStatus:
        return self.service.task(self.tenant.caller, task_id).status


@pytest.fixture
def bench(database: Database, worker_keys: WorkerKeys, settings: Settings) -> Bench:
    return Bench(database, worker_keys, settings)


def failure(error: type[UpstreamFailed | CredentialsRejected]) -> Outcome:
    return Outcome.of_error(error().describe())


def test_a_released_task_is_swept_and_claimed_at_once(bench: Bench) -> None:
    task = bench.claimed()
    assert bench.other.claim(task.id) is None
    assert bench.other.sweep(limit=10) == []

    assert bench.ending.release() == [task.id]
    assert [swept.task_id for swept in bench.other.sweep(limit=10)] == [task.id]
    again = bench.other.claim(task.id)
    assert again is not None
    assert (again.fence, again.attempts) == (task.fence + 1, task.attempts + 1)


def test_the_attempt_may_still_be_settled_while_nobody_else_has_the_task(bench: Bench) -> None:
    task = bench.claimed()
    bench.ending.release()

    assert bench.ending.succeed(task, verified())
    assert bench.status(task.id) is TaskStatus.SUCCEEDED


def test_after_another_claim_neither_settling_nor_releasing_changes_anything(bench: Bench) -> None:
    task = bench.claimed()
    bench.ending.release()
    again = bench.other.claim(task.id)
    assert again is not None

    assert bench.ending.release() == []
    assert not bench.ending.succeed(task, verified())
    assert not bench.ending.fail(task, failure(CredentialsRejected))
    assert bench.status(task.id) is TaskStatus.RUNNING
    assert bench.other.succeed(again, verified())


def test_what_is_settled_or_waits_for_its_next_attempt_is_left_alone(bench: Bench) -> None:
    task = bench.claimed()
    bench.ending.postpone(task, failure(UpstreamFailed), 600)
    assert bench.ending.release() == []
    waiting = bench.service.task(bench.tenant.caller, task.id)
    assert (waiting.available_at - datetime.now(UTC)).total_seconds() > 500

    bench.ending.fail(task, failure(UpstreamFailed))
    assert bench.ending.release() == []
    assert bench.status(task.id) is TaskStatus.FAILED
