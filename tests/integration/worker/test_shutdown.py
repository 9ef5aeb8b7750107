"""A worker that is told to end does so in time, and nothing it had begun waits for its lease to run out."""

import signal

import pytest

from connections.contract import TaskStatus
from tests.integration.worker.stack import Stack
from tests.processes import running, worker_command
from tests.servers import wait_until

# Far less than the 30 seconds of a lease.
SOON = 10.0


def test_what_runs_is_finished_within_the_grace_period(stack: Stack) -> None:
    with stack.staged_worker(grace=30) as worker:
        task = stack.submit("wait-1.test")
        stack.wait_for(TaskStatus.RUNNING, task)
        worker.send_signal(signal.SIGTERM)
        stack.tell("go")
        assert worker.wait(SOON) == 0

    assert (stack.status(task), stack.task(task).attempts) == (TaskStatus.SUCCEEDED, 1)
    assert "leases_released" not in stack.log_of()


@pytest.mark.parametrize("stack", ["sqlite", "postgres"], indirect=True)
def test_what_is_not_finished_is_done_by_another_at_once(stack: Stack) -> None:
    with stack.staged_worker(grace=1) as worker:
        task = stack.submit("hang-1.test")
        stack.wait_for(TaskStatus.RUNNING, task)
        with stack.staged_worker("well", name="other"):
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(SOON) == 0
            stack.wait_for(TaskStatus.SUCCEEDED, task, seconds=SOON)

    assert stack.task(task).attempts == 2


def test_a_second_signal_ends_the_grace_period(stack: Stack) -> None:
    with stack.staged_worker(grace=600) as worker:
        task = stack.submit("hang-1.test")
        stack.wait_for(TaskStatus.RUNNING, task)
        worker.send_signal(signal.SIGTERM)
        with pytest.raises(TimeoutError):
            wait_until(lambda: worker.poll() is not None, what="an end that is not yet due", seconds=2)
        worker.send_signal(signal.SIGINT)
        assert worker.wait(SOON) == 0

    assert "leases_released" in stack.log_of()


def test_a_worker_that_is_to_end_keeps_no_message_from_the_others(stack: Stack) -> None:
    with stack.staged_worker("long poll", grace=600) as worker:
        stack.wait_for(TaskStatus.RUNNING, stack.submit("hang-1.test"))
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: "worker_stopping" in stack.log_of(), what="the worker to stop")
        # Its last BRPOP is still under way at the server, and the first to get one of these.
        tasks = [stack.submit(f"good-{number}.test") for number in range(3)]
        with stack.staged_worker("well", name="other"):
            stack.wait_for(TaskStatus.SUCCEEDED, *tasks, seconds=SOON)
        assert worker.poll() is None
        worker.kill()


def test_a_worker_ends_while_its_redis_is_away(stack: Stack) -> None:
    with stack.staged_worker(grace=1) as worker:
        task = stack.submit("hang-1.test")
        stack.wait_for(TaskStatus.RUNNING, task)
        stack.valkey.stop()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0

    assert "leases_released" in stack.log_of()


def test_a_worker_ends_that_has_never_reached_its_redis(stack: Stack) -> None:
    stack.valkey.stop()
    with running(worker_command(), environment=stack.environment, log=stack.log) as worker:
        wait_until(lambda: "Cannot connect" in stack.log.read_text(), what="the worker to look for its Redis")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(SOON) == 0

    log = stack.log.read_text()
    assert "worker_stopped" in log
    assert "Traceback" not in log
