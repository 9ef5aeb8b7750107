"""`/metrics` of a worker and of beat, as Prometheus reads them."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from connections.contract import TaskStatus
from connections.messages import CONNECT_ACCOUNT
from tests.integration.worker.stack import Stack
from tests.processes import beat_command, running, worker_command
from tests.servers import free_port, wait_until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Metrics:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def read(self) -> Samples:
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.read().get((name, frozenset(labels.items())))


@contextmanager
def served(stack: Stack, *command: str) -> Iterator[Metrics]:
    metrics = Metrics(free_port())
    environment = stack.environment | {"CONNECTOR_METRICS_PORT": metrics.url.rsplit(":", 1)[1]}
    with running([*command], environment=environment, log=stack.directory / "served.log"):
        wait_until(metrics.answers, what="the metrics to be served")
        yield metrics


def test_a_worker(stack: Stack) -> None:
    with served(stack, *worker_command("--threads", "3")) as metrics:
        task_id = stack.accept()
        stack.send(CONNECT_ACCOUNT, task_id)
        stack.wait_for(TaskStatus.FAILED, task_id, seconds=40)

        attempts = stack.task(task_id).attempts
        by_cause = {"platform": "bluesky", "cause": "upstream_error"}
        wait_until(lambda: metrics("connector_attempts_total", **by_cause) == attempts, what="the attempts")
        assert metrics("connector_retries_total", **by_cause) == attempts - 1
        assert metrics("connector_attempt_seconds_count", platform="bluesky") == attempts
        assert metrics("connector_task_wait_seconds_count", platform="bluesky") == 1
        asked = sum(
            value
            for (name, labels), value in metrics.read().items()
            if name == "connector_upstream_requests_total" and ("status", "none") in labels
        )
        assert asked >= attempts
        assert (metrics("connector_threads"), metrics("connector_threads_busy")) == (3, 0)
        assert metrics("connector_database_connections", state="in_use") == 0
        assert metrics("connector_circuits_open", platform="bluesky", kind="logins") == 0
        left = metrics("connector_host_budget_left", host="127.0.0.1:1")
        assert left is not None
        assert 0 < left <= 3000
        assert metrics("process_resident_memory_bytes")


def test_beat_tells_of_the_whole(stack: Stack) -> None:
    with served(stack, *beat_command()) as metrics:
        stack.accept()
        stack.accept(identifier="bob.test")

        queued = {"queue": "connect", "status": "queued"}
        wait_until(lambda: metrics("connector_tasks_in_flight", **queued) == 2, what="the tasks")
        oldest = metrics("connector_oldest_task_seconds", queue="connect")
        assert oldest is not None
        assert 0 < oldest < 60
        assert metrics("connector_oldest_task_seconds", queue="connect.bulk") == 0
        assert metrics("connector_batches_running") == 0
        assert metrics("connector_batch_rows", state="waiting") == 0
        assert metrics("connector_refresh_overdue_seconds") == 0
        assert (metrics("connector_workers"), metrics("connector_worker_threads")) == (0, 0)
        wait_until(lambda: bool(metrics("connector_beat_ticks_total", task="sweep")), what="beat to tick")
        assert metrics("connector_queue_messages", queue="connect") == 0


def test_what_cannot_be_read_is_left_out(stack: Stack) -> None:
    with served(stack, *beat_command()) as metrics:
        stack.valkey.stop()
        assert metrics("connector_workers") is None
        assert metrics("connector_batches_running") == 0
        assert metrics.answers()


def test_nothing_else_is_served(stack: Stack) -> None:
    with served(stack, *beat_command()) as metrics:
        assert httpx.get(f"{metrics.url}/", trust_env=False).status_code == 404


def test_somebody_who_says_nothing_holds_nobody_up(stack: Stack) -> None:
    with served(stack, *beat_command()) as metrics:
        port = int(metrics.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)):
            assert metrics.answers()


@pytest.mark.parametrize("command", [worker_command(), beat_command()], ids=["worker", "beat"])
def test_a_port_that_is_taken_is_one_line(stack: Stack, command: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = stack.environment | {"CONNECTOR_METRICS_PORT": str(taken.getsockname()[1])}
        with running(command, environment=environment, log=stack.log) as process:
            assert process.wait(20) == 1
    (line,) = stack.log.read_text().splitlines()
    assert re.search(r"cannot serve metrics at 127\.0\.0\.1:\d+", line)
