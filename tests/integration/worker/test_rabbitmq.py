"""Workers whose broker is a RabbitMQ: what it does that Redis does not."""

import time

import pytest

from connections.contract import TaskStatus
from connections.messages import LAST_BEGUN_KEY, Queue
from tests.integration.worker.stack import THREADS, Stack
from tests.integration.worker.test_metrics import served
from tests.processes import beat_command, frozen, running
from tests.rabbit import Rabbit
from tests.servers import wait_until

pytestmark = pytest.mark.parametrize("stack", ["rabbitmq"], indirect=True)

# Of the watchdog, in seconds: an outage that is longer must be no reason to end.
LIMITS = {"LOOP_STILL": 8, "LEAKED": 8}


def test_a_worker_outlives_its_rabbitmq(stack: Stack, rabbit: Rabbit) -> None:
    """What runs is finished meanwhile; what was to come is swept, as soon as beat's ticks come through."""
    with (
        running(beat_command(), environment=stack.environment, log=stack.log),
        stack.staged_worker(limits=LIMITS) as worker,
    ):
        task = stack.submit("wait-1.test")
        stack.wait_for(TaskStatus.RUNNING, task)
        rabbit.stop()
        time.sleep(9)
        stack.tell("go")
        stack.wait_for(TaskStatus.SUCCEEDED, task)
        rabbit.start()
        wait_until(stack.is_consumed, what="the worker to be back", seconds=40)
        swept = stack.accept(identifier="good-1.test")
        stack.wait_for(TaskStatus.SUCCEEDED, stack.submit("good-2.test"))
        stack.wait_for(TaskStatus.SUCCEEDED, swept, seconds=40)
        assert stack.task(task).attempts == 1
        assert worker.poll() is None

    assert "worker_stuck" not in stack.log_of()


def test_a_rabbitmq_that_hangs_is_noticed(stack: Stack, rabbit: Rabbit) -> None:
    with stack.staged_worker(limits=LIMITS) as worker:
        with frozen(*rabbit.pids):
            wait_until(lambda: "Connection to broker lost" in stack.log_of(), what="the silence to be noticed")
        stack.wait_for(TaskStatus.SUCCEEDED, stack.submit("good-1.test"), seconds=60)
        assert worker.poll() is None

    assert "worker_stuck" not in stack.log_of()


def test_no_message_waits_behind_a_worker_that_has_no_thread_for_it(stack: Stack) -> None:
    with stack.staged_worker():
        tasks = [stack.submit(f"wait-{number}.test") for number in range(THREADS)]
        stack.wait_for(TaskStatus.RUNNING, *tasks)
        late = stack.submit("good-1.test")
        wait_until(lambda: stack.depth(Queue.CONNECT) == 1, what="the message to stay")
        with stack.staged_worker(name="other"):
            stack.wait_for(TaskStatus.SUCCEEDED, late)
        stack.tell("go")


def test_how_far_the_workers_have_got_is_told(stack: Stack) -> None:
    with stack.staged_worker("well"):
        before = time.time()
        task = stack.submit("good-1.test")
        stack.wait_for(TaskStatus.SUCCEEDED, task)
        with stack.valkey.client() as client:
            told = float(client.get(LAST_BEGUN_KEY) or 0)
            assert before <= told <= time.time()
            assert 0 < client.ttl(LAST_BEGUN_KEY) <= 60


def test_beat_counts_what_lies_in_the_queues(stack: Stack) -> None:
    with served(stack, *beat_command()) as metrics:
        stack.submit("good-1.test")
        stack.submit("good-2.test")
        wait_until(lambda: metrics("connector_queue_messages", queue="connect") == 2, what="the messages")
        assert metrics("connector_queue_messages", queue="connect.bulk") == 0
        wait_until(lambda: bool(metrics("connector_beat_ticks_total", task="sweep")), what="beat to tick")


def test_without_it_beat_still_tells_of_the_workers(stack: Stack, rabbit: Rabbit) -> None:
    with served(stack, *beat_command()) as metrics:
        rabbit.stop()
        assert metrics("connector_queue_messages", queue="connect") is None
        assert metrics("connector_workers") == 0
