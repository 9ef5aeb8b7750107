"""A worker that makes no progress is ended by its watchdog, and what it held is done by another."""

import time

from connections.contract import TaskStatus
from connections.messages import WORKER_ALIVE_KEY
from tests.integration.worker.stack import THREADS, Stack
from tests.servers import wait_until
from worker.watchdog import EXIT_STUCK


def test_a_worker_whose_slots_all_hang_ends_and_another_does_its_tasks(stack: Stack) -> None:
    with stack.staged_worker(limits={"BUSY": 2}) as stuck:
        tasks = [stack.submit(f"{act}-{number}.test") for number, act in enumerate(("hang", "hang", "hang", "spin"))]
        stack.wait_for(TaskStatus.RUNNING, *tasks)
        with stack.staged_worker("well", name="other"):
            assert stuck.wait(20) == EXIT_STUCK
            # Leases last 30 seconds; these were given back.
            stack.wait_for(TaskStatus.SUCCEEDED, *tasks, seconds=10)

    log = stack.log_of()
    assert log.count("worker_stuck") == 1
    assert all(task_id in log for task_id in tasks)


def test_a_worker_with_leaked_slots_ends(stack: Stack) -> None:
    with stack.staged_worker("leak", limits={"LEAKED": 1}) as leaking:
        tasks = [stack.submit(f"good-{number}.test") for number in range(THREADS)]
        assert leaking.wait(20) == EXIT_STUCK
        stack.wait_for(TaskStatus.SUCCEEDED, *tasks)

    assert "leaked for" in stack.log_of()


def test_a_worker_whose_event_loop_stands_still_finishes_what_runs_and_ends(stack: Stack) -> None:
    with stack.staged_worker("stand still", limits={"LOOP_STILL": 2}, grace=30) as standing:
        task = stack.submit("wait-1.test")
        stack.wait_for(TaskStatus.RUNNING, task)
        stack.tell("stand")
        wait_until(lambda: "event loop still" in stack.log_of(), what="the watchdog to notice")
        stack.tell("go")
        assert standing.wait(20) == EXIT_STUCK

    assert (stack.status(task), stack.task(task).attempts) == (TaskStatus.SUCCEEDED, 1)
    assert "leases_released" not in stack.log_of()


def test_the_heartbeat_stops_when_progress_does(stack: Stack) -> None:
    with stack.staged_worker("stand still") as standing:
        wait_until(lambda: stack.valkey.has(WORKER_ALIVE_KEY), what="the heartbeat")
        stack.tell("stand")
        wait_until(lambda: not stack.valkey.has(WORKER_ALIVE_KEY), what="the heartbeat to stop")
        assert standing.poll() is None
        standing.kill()


def test_a_worker_outlives_its_connections_and_its_redis(stack: Stack) -> None:
    """An outage that lasts longer than what the watchdog bears is no reason to end, and costs what runs nothing."""
    with stack.staged_worker(limits={"LOOP_STILL": 8, "LEAKED": 8}) as worker:
        task = stack.submit("wait-1.test")
        stack.wait_for(TaskStatus.RUNNING, task)
        with stack.valkey.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        stack.wait_for(TaskStatus.SUCCEEDED, stack.submit("good-1.test"))

        stack.valkey.stop()
        time.sleep(9)
        stack.valkey.start()
        stack.tell("go")
        wait_until(stack.is_consumed, what="the worker to be back", seconds=30)
        stack.wait_for(TaskStatus.SUCCEEDED, task, stack.submit("good-2.test"))
        assert stack.task(task).attempts == 1
        assert worker.poll() is None

    log = stack.log_of()
    assert "worker_stuck" not in log
    assert "Couldn't ack" not in log
