"""Batches read and canceled, on SQLite and on Postgres, while their rows end."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, update

from connections.bulk import reading
from connections.bulk.reading import Batches
from connections.contract import BatchStatus, RowStatus, TaskStatus
from connections.db import Database
from connections.models import connect_tasks
from connections.repository import attempts, batches, dispatch
from tests.batch_rows import end_row, insert_batch, stored_row
from tests.factories import Tenant, make_tenant

R = RowStatus
ALL = list(RowStatus)


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return make_tenant(database)


def test_counts_causes_and_results_agree(database: Database, tenant: Tenant) -> None:
    read = Batches(database)
    batch_id = insert_batch(database, tenant, [*ALL, R.FAILED, R.REJECTED])

    batch = read.get(tenant.caller, batch_id)
    rows = read.results(tenant.caller, batch_id, limit=100).rows

    assert batch.counts == dict.fromkeys(ALL, 1) | {R.FAILED: 2, R.REJECTED: 2}
    assert sum(batch.counts.values()) == batch.total == len(rows)
    assert list(batch.causes.items()) == [("required", 2), ("unauthorized", 2), ("connect_timeout", 1)]
    assert [(row.row, row.status) for row in rows] == list(enumerate([*ALL, R.FAILED, R.REJECTED], 1))
    for status in ALL:
        found = read.results(tenant.caller, batch_id, limit=100, statuses=frozenset({status})).rows
        assert found == [row for row in rows if row.status is status]


def test_ten_thousand_rows_are_counted_and_paged(database: Database, tenant: Tenant) -> None:
    read = Batches(database)
    batch_id = insert_batch(database, tenant, [ALL[n % len(ALL)] for n in range(10_000)])
    seen: list[int] = []
    has_more = True
    while has_more:
        page = read.results(tenant.caller, batch_id, after=seen[-1] if seen else 0, limit=1000)
        seen += [row.row for row in page.rows]
        has_more = page.has_more
        for behind_and_ahead in (seen[-1000], seen[-1] + 1000):
            queued = behind_and_ahead - (behind_and_ahead - 1) % len(ALL)
            if queued <= 10_000 and stored_row(database, batch_id, queued)["status"] == TaskStatus.QUEUED:
                end_row(database, batch_id, queued)

    assert seen == list(range(1, 10_001))
    assert sum(read.get(tenant.caller, batch_id).counts.values()) == 10_000


def test_cancelling_ends_all_that_waits_and_nothing_that_runs(
    database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_ROWS_PER_CANCELLATION", 7)
    read = Batches(database)
    other = insert_batch(database, tenant, [R.QUEUED])
    batch_id = insert_batch(database, tenant, [R.QUEUED, R.RETRYING, R.RUNNING] * 10)
    with database.write() as connection:
        dispatch.note_wait(connection, batch_id, {"reason": "capacity"})

    canceled = read.cancel(tenant.caller, batch_id, request_id="req_1")

    assert canceled.waits_for is None
    assert (canceled.status, canceled.counts[R.CANCELED], canceled.counts[R.RUNNING]) == (BatchStatus.CANCELING, 20, 10)
    assert canceled.causes == {}
    assert stored_row(database, other, 1)["status"] == "queued"
    assert stored_row(database, batch_id, 1)["sealed_credentials"] is None
    assert stored_row(database, batch_id, 3)["sealed_credentials"] is not None


def test_a_row_that_was_sent_and_not_begun_is_canceled(database: Database, tenant: Tenant) -> None:
    batch_id = insert_batch(database, tenant, [R.QUEUED])
    with database.write() as connection:
        _send(connection, batch_id)

    batch = Batches(database).cancel(tenant.caller, batch_id, request_id="req_1")

    assert (batch.status, batch.counts[R.CANCELED]) == (BatchStatus.CANCELED, 1)
    with database.write() as connection:
        assert attempts.claim_tasks(connection, [f"ct_{batch_id}_1"], lease=30, sweep_in=31) == []


def _send(connection: Connection, batch_id: str) -> None:
    connection.execute(update(connect_tasks).where(connect_tasks.c.batch_id == batch_id).values(dispatch_at=None))


def test_a_running_row_that_is_postponed_or_given_up_ends_with_its_batch(database: Database, tenant: Tenant) -> None:
    batch_id = insert_batch(database, tenant, [R.QUEUED, R.QUEUED, R.QUEUED])
    with database.write() as connection:
        claims = attempts.claim_tasks(connection, [f"ct_{batch_id}_{row}" for row in (1, 2, 3)], lease=30, sweep_in=31)
    read = Batches(database)
    assert read.cancel(tenant.caller, batch_id, request_id="req_1").counts[R.RUNNING] == 3

    postponed, given_up, _ = claims
    assert postponed is not None
    assert given_up is not None
    with database.write() as connection:
        attempts.postpone_task(
            connection, postponed.id, fence=postponed.fence, attempts=1, delay=60, sweep_in=61, outcome={}
        )
        attempts.release_task(connection, given_up.id, fence=given_up.fence)
    with database.write() as connection:
        assert batches.end_canceled(connection, batch_id, 100) == 2
        assert batches.end_canceled(connection, batch_id, 100) == 0

    batch = read.get(tenant.caller, batch_id)
    assert (batch.status, batch.counts[R.CANCELED], batch.counts[R.RUNNING]) == (BatchStatus.CANCELING, 2, 1)


def test_a_cancellation_that_was_cut_off_goes_on_and_keeps_its_date(database: Database, tenant: Tenant) -> None:
    read = Batches(database)
    batch_id = insert_batch(database, tenant, [R.QUEUED] * 5)
    with database.write() as connection:
        batches.mark_canceled(connection, tenant.workspace_id, batch_id)
        assert batches.end_canceled(connection, batch_id, 2) == 2
    cut_off = read.get(tenant.caller, batch_id)

    again = read.cancel(tenant.caller, batch_id, request_id="req_1")

    assert (cut_off.status, cut_off.counts[R.QUEUED]) == (BatchStatus.CANCELING, 3)
    assert (again.status, again.counts[R.CANCELED]) == (BatchStatus.CANCELED, 5)
    assert again.canceled_at == cut_off.canceled_at


def test_every_row_has_one_end_when_workers_and_a_cancellation_race(
    database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_ROWS_PER_CANCELLATION", 5)
    batch_id = insert_batch(database, tenant, [R.QUEUED] * 60)
    read, start = Batches(database), threading.Barrier(3)

    def work(numbers: range) -> int:
        start.wait(10)
        return sum(_was_ended(database, batch_id, number) for number in numbers)

    def cancel() -> None:
        start.wait(10)
        read.cancel(tenant.caller, batch_id, request_id="req_1")

    with ThreadPoolExecutor(3) as threads:
        forwards, backwards = threads.submit(work, range(1, 31)), threads.submit(work, range(60, 30, -1))
        threads.submit(cancel).result(30)
        connected = forwards.result(30) + backwards.result(30)

    batch = read.cancel(tenant.caller, batch_id, request_id="req_1")
    assert batch.counts[R.CONNECTED] == connected
    assert batch.counts[R.CANCELED] == 60 - connected


def _was_ended(database: Database, batch_id: str, number: int) -> bool:
    with database.write() as connection:
        claimed = attempts.claim_tasks(connection, [f"ct_{batch_id}_{number}"], lease=30, sweep_in=31)
    if not claimed:
        return False
    (task,) = claimed
    with database.write() as connection:
        return attempts.finish_task(
            connection, task.id, fence=task.fence, status=TaskStatus.SUCCEEDED, outcome={"error": None}
        )
