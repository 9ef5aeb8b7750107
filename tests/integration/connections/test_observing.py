"""What operators look at, counted."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from connections.contract import RowStatus, TaskStatus
from connections.db import Database
from connections.models import connect_batches, connect_tasks
from connections.repository import observing
from connections.repository.observing import Ending, HostQueue
from connections.sqltime import from_now
from connections.vault import Sealer, WorkerKeys
from tests.factories import MadeBatch, make_batch, make_tenant


@pytest.fixture
def batch(database: Database, worker_keys: WorkerKeys) -> MadeBatch:
    return make_batch(
        database, make_tenant(database), [f"person{n}.test" for n in range(6)], Sealer(worker_keys.for_shim())
    )


def change(connection: Connection, task_ids: list[str], **values: Any) -> None:
    connection.execute(update(connect_tasks).where(connect_tasks.c.id.in_(task_ids)).values(values))


def end(connection: Connection, task_id: str, status: TaskStatus, cause: str | None, *, seconds_ago: float) -> None:
    ended = {"finished_at": from_now(-seconds_ago), "dispatch_at": None, "sealed_credentials": None}
    change(connection, [task_id], status=status, cause=cause, **ended)


def test_rows_in_flight(database: Database, batch: MadeBatch) -> None:
    with database.write() as connection:
        change(connection, batch.task_ids[:2], queue="connect", status=TaskStatus.RUNNING)
        change(connection, batch.task_ids[2:3], created_at=from_now(-300))
        end(connection, batch.task_ids[5], TaskStatus.SUCCEEDED, None, seconds_ago=0)
        tallies = observing.in_flight_by_queue(connection)

    counted = {(one.queue, one.status): one for one in tallies}
    assert {key: one.rows for key, one in counted.items()} == {
        ("connect", TaskStatus.RUNNING): 2,
        ("connect.bulk", TaskStatus.QUEUED): 3,
    }
    assert counted["connect.bulk", TaskStatus.QUEUED].oldest_seconds == pytest.approx(300, abs=30)
    assert 0 <= counted["connect", TaskStatus.RUNNING].oldest_seconds < 30


def test_what_the_sweep_has_not_seen(database: Database, batch: MadeBatch) -> None:
    with database.write() as connection:
        assert observing.sweep_lag(connection) is None
        change(connection, batch.task_ids[:1], sweep_at=from_now(-40))
        change(connection, batch.task_ids[1:2], sweep_at=from_now(-4))
        assert observing.sweep_lag(connection) == pytest.approx(40, abs=30)
        end(connection, batch.task_ids[0], TaskStatus.SUCCEEDED, None, seconds_ago=0)
        end(connection, batch.task_ids[1], TaskStatus.SUCCEEDED, None, seconds_ago=0)
        assert observing.sweep_lag(connection) is None


def test_batches_that_run(database: Database, batch: MadeBatch, worker_keys: WorkerKeys) -> None:
    tenant, sealer = make_tenant(database), Sealer(worker_keys.for_shim())
    later = make_batch(database, tenant, ["later.test"], sealer)
    make_batch(database, tenant, ["arriving.test"], sealer, is_accepted=False)
    finished = make_batch(database, tenant, ["finished.test"], sealer)
    with database.write() as connection:
        is_batch = connect_batches.c.id
        connection.execute(update(connect_batches).where(is_batch == finished.id).values(finished_at=from_now()))
        connection.execute(update(connect_batches).where(is_batch == batch.id).values(created_at=from_now(-60)))
        end(connection, batch.task_ids[0], TaskStatus.FAILED, "handle_not_found", seconds_ago=10)
        first, second = observing.running_batches(connection, 10)
        assert [one.row.id for one in observing.running_batches(connection, 1)] == [batch.id]

    assert [first.row.id, second.row.id] == [batch.id, later.id]
    assert second.workspace_id == tenant.workspace_id
    counted = {(tally.status, tally.cause): (tally.rows, tally.ended_lately) for tally in first.tallies}
    assert counted == {(RowStatus.QUEUED, None): (5, 0), (RowStatus.FAILED, "handle_not_found"): (1, 1)}


def test_hosts_that_rows_wait_for(database: Database, batch: MadeBatch, worker_keys: WorkerKeys) -> None:
    other = make_batch(database, make_tenant(database), ["other.test"], Sealer(worker_keys.for_shim()))
    with database.write() as connection:
        change(connection, batch.task_ids[:4], lane="pds.example")
        change(connection, batch.task_ids[1:3], dispatch_at=from_now(60))
        change(connection, batch.task_ids[3:4], dispatch_at=None)
        found = observing.waiting_by_host(connection, [batch.id, other.id])
        assert observing.waiting_by_host(connection, [other.id]) == [HostQueue("", 1, 1)]

    assert sorted(found, key=lambda one: one.host) == [HostQueue("", 3, 3), HostQueue("pds.example", 3, 1)]


def test_endings(database: Database, batch: MadeBatch) -> None:
    ends = [
        (TaskStatus.SUCCEEDED, None, 1.0),
        (TaskStatus.FAILED, "unauthorized", 5.0),
        (TaskStatus.FAILED, "unauthorized", 20.0),
        (TaskStatus.SUCCEEDED, None, 300.0),
    ]
    with database.write() as connection:
        for task_id, (status, cause, ago) in zip(batch.task_ids, ends, strict=False):
            end(connection, task_id, status, cause, seconds_ago=ago)
        lately = observing.endings(connection, seconds=60, count_to=100)
        latest = observing.endings(connection, seconds=60, count_to=1)

    connected, refused = Ending(TaskStatus.SUCCEEDED, None, 1), Ending(TaskStatus.FAILED, "unauthorized", 2)
    assert lately == [refused, connected]
    assert latest == [connected]


def test_a_story(database: Database, batch: MadeBatch) -> None:
    with database.write() as connection:
        change(connection, batch.task_ids[:1], external_ref="customer-1", lane="pds.example")
        told = observing.task_story(connection, batch.task_ids[0])
        assert observing.task_story(connection, "ct_unknown") is None

    assert told is not None
    assert (told.status, told.workspace_name, told.profile_name) == (TaskStatus.QUEUED, "Acme", "Default")
    assert (told.batch_id, told.batch_row, told.batch_total) == (batch.id, 1, 6)
    assert (told.external_ref, told.lane) == ("customer-1", "pds.example")
    assert timedelta() <= told.now - told.created_at < timedelta(seconds=60)
    assert not {"sealed_credentials", "fingerprint"} & {*told.__dataclass_fields__}
