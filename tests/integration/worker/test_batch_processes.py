"""Batches and real processes: beat wants the runs, workers dispatch and perform, and any of them may be gone."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select, update

from connections.contract import FINAL_STATUSES, TaskStatus
from connections.models import IN_FLIGHT, accounts, connect_batches, connect_tasks
from connections.sqltime import from_now
from tests.factories import MadeBatch, make_batch, make_tenant
from tests.integration.worker.stack import Stack
from tests.processes import beat_command, running
from tests.servers import wait_until

# A worker has half of its four threads for rows, and takes four that are not looked up at a time.
IN_HAND = 8

pytestmark = pytest.mark.parametrize("stack", ["sqlite", "postgres", "rabbitmq"], indirect=True)


@contextmanager
def beating(stack: Stack) -> Iterator[None]:
    with running(beat_command(), environment=stack.environment, log=stack.directory / "beat.log"):
        yield


def batch_of(stack: Stack, *people: str) -> MadeBatch:
    return make_batch(stack.database, stack.tenant, people, stack.sealer)


def crowd(count: int, act: str = "good") -> list[str]:
    return [f"{act}-{number}.test" for number in range(count)]


def statuses(stack: Stack, batch: MadeBatch) -> Counter[str]:
    query = select(connect_tasks.c.status, func.count()).where(connect_tasks.c.batch_id == batch.id)
    with stack.database.read() as connection:
        return Counter({row[0]: row[1] for row in connection.execute(query.group_by(connect_tasks.c.status))})


def wait_for_the_end(stack: Stack, batch: MadeBatch) -> None:
    """Of all rows, and of the batch."""
    query = select(connect_batches.c.finished_at).where(connect_batches.c.id == batch.id)

    def has_finished() -> bool:
        with stack.database.read() as connection:
            return connection.execute(query).scalar_one() is not None

    wait_until(has_finished, what="the batch to finish")
    assert {*statuses(stack, batch)} <= {*FINAL_STATUSES}


def count_accounts(stack: Stack) -> int:
    with stack.database.read() as connection:
        return connection.execute(select(func.count()).select_from(accounts)).scalar_one()


def pass_time(stack: Stack) -> None:
    """Leases end, and messages that have not come count as lost."""
    with stack.database.write() as connection:
        on_their_way = connect_tasks.c.dispatch_at.is_(None)
        connection.execute(
            update(connect_tasks).where(IN_FLIGHT, on_their_way).values(available_at=from_now(), sweep_at=from_now())
        )


def test_a_batch_is_connected_whole(stack: Stack) -> None:
    batch = batch_of(stack, *crowd(150))
    with stack.staged_worker("well"), stack.staged_worker("well", name="other"), beating(stack):
        wait_for_the_end(stack, batch)

    assert statuses(stack, batch) == {TaskStatus.SUCCEEDED: 150}
    assert count_accounts(stack) == 150


def test_one_who_waits_is_served_while_rows_hang(stack: Stack) -> None:
    batch = batch_of(stack, *crowd(50, "wait"))
    with stack.staged_worker(), beating(stack):
        wait_until(lambda: statuses(stack, batch)[TaskStatus.RUNNING] == IN_HAND, what="rows to take half the threads")
        stack.wait_for(TaskStatus.SUCCEEDED, stack.submit("good-99.test"))
        assert statuses(stack, batch)[TaskStatus.RUNNING] == IN_HAND
        stack.tell("go")
        wait_for_the_end(stack, batch)

    assert statuses(stack, batch) == {TaskStatus.SUCCEEDED: 50}


def test_two_workspaces_share_what_there_is(stack: Stack) -> None:
    large = batch_of(stack, *crowd(400))
    small = make_batch(stack.database, make_tenant(stack.database), crowd(20), stack.sealer)
    with stack.staged_worker("well"), beating(stack):
        wait_for_the_end(stack, small)
        assert statuses(stack, large)[TaskStatus.QUEUED] > 200

    assert statuses(stack, small) == {TaskStatus.SUCCEEDED: 20}


def test_rows_of_a_worker_that_was_killed_are_done_by_another(stack: Stack) -> None:
    batch = batch_of(stack, *crowd(30, "wait"))
    with beating(stack):
        with stack.staged_worker() as worker:
            wait_until(lambda: statuses(stack, batch)[TaskStatus.RUNNING] == IN_HAND, what="rows that are under way")
            worker.kill()
        pass_time(stack)
        with stack.staged_worker("well", name="other"):
            wait_for_the_end(stack, batch)

    assert statuses(stack, batch) == {TaskStatus.SUCCEEDED: 30}
    assert count_accounts(stack) == 30


def test_rows_of_a_worker_that_is_told_to_end_are_done_by_another(stack: Stack) -> None:
    batch = batch_of(stack, *crowd(30, "hang"))
    with beating(stack), stack.staged_worker(grace=0) as worker:
        wait_until(lambda: statuses(stack, batch)[TaskStatus.RUNNING] == IN_HAND, what="rows that are under way")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        with stack.staged_worker("well", name="other"):
            # At once, but for rows whose message it was handed in its last moment: they are swept after 30 s.
            wait_until(lambda: statuses(stack, batch) == {TaskStatus.SUCCEEDED: 30}, what="all rows", seconds=50)


def test_a_batch_outlives_the_loss_of_all_messages(stack: Stack) -> None:
    batch = batch_of(stack, *crowd(60, "wait"))
    with stack.staged_worker(), beating(stack):
        wait_until(lambda: statuses(stack, batch)[TaskStatus.RUNNING] == IN_HAND, what="rows that are under way")
        stack.lose_messages()
        stack.tell("go")
        pass_time(stack)
        wait_for_the_end(stack, batch)

    assert statuses(stack, batch) == {TaskStatus.SUCCEEDED: 60}
    assert count_accounts(stack) == 60
