"""uvicorn beside granian under the API: `python -m bench.servers`, about four minutes.

The app is the real one over doubles that cost next to nothing, so what differs is the server. Both take turns in one
run; each number is the median of the rounds. At the end, what becomes of a waiting caller when the process is stopped.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from api_shim.app import create_app
from api_shim.server import run
from connections.contract import Account, AccountStatus, ConnectionType, TaskStatus
from connections.intake import ConnectCommand
from connections.outcome import Outcome
from connections.repository.tasks import TaskRow
from connections.service import Accepted, Caller, ConnectService
from connections.settings import Settings
from tests.servers import free_port, wait_until

COMMANDS: dict[str, list[str]] = {
    "uvicorn": [sys.executable, "-m", "bench.servers", "--serve"],
    "granian": [
        *(sys.executable, "-m", "granian", "--factory", "bench.servers:make_app", "--interface", "asgi"),
        *("--loop", "uvloop", "--no-ws", "--log-level", "warning", "--port"),
    ],
}


@dataclass(frozen=True, slots=True)
class Case:
    """So many callers, each with a connection of its own, each asking again as soon as it is answered.

    `takes` is how long a connect lasts, in seconds: long enough that the server is not busy all the time, because then
    the queue before it would be measured. It travels as the handle.
    """

    name: str
    callers: int
    prefer: str
    takes: float

    @property
    def request(self) -> bytes:
        body = f'{{"platform":"bluesky","credentials":{{"handle":"{self.takes}","app_password":"x"}}}}'
        head = (
            "POST /v1/accounts/connect HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer x\r\n"
            f"Content-Type: application/json\r\nPrefer: {self.prefer}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return (head + body).encode()


CASES = (
    Case("accept x 16", 16, "respond-async", 0.0),
    Case("wait x 64", 64, "wait=60", 0.2),
    Case("wait x 1000", 1000, "wait=60", 2.5),
)


@dataclass(frozen=True, slots=True)
class Result:
    """CPU and times are in milliseconds, memory in MB. `p50` is without the time the connect itself takes."""

    requests_per_second: float
    cpu: float
    p50: float
    memory: float


class Redis:
    """Ends and announces each task when its time has come."""

    def __init__(self) -> None:
        self.takes: dict[str, float] = {}
        self.ended: set[str] = set()

    async def listen(
        self, _channel: str, *, on_message: Callable[[str], None], on_subscribed: Callable[[], None]
    ) -> None:
        on_subscribed()
        self._loop, self._on_message = asyncio.get_running_loop(), on_message
        await asyncio.Event().wait()

    def send(self, task_id: str) -> None:
        self._loop.call_soon_threadsafe(self._loop.call_later, self.takes.pop(task_id), self._announce, task_id)

    def _announce(self, task_id: str) -> None:
        self.ended.add(task_id)
        self._on_message(task_id)


class InstantService(ConnectService):
    """Accepts every request and stores none; each task that ended has succeeded."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        now = datetime.now(UTC)
        self._queued = TaskRow(
            "", "ws_1", "pr_1", "bluesky", TaskStatus.QUEUED, 0, 5, available_at=now, created_at=now, finished_at=None,
            outcome=None, batch_id=None,
        )  # fmt: skip
        account = Account(
            id="sa_1",
            profile_id="pr_1",
            platform="bluesky",
            account_name="alice.test",
            status=AccountStatus.ACTIVE,
            connection_type=ConnectionType.BYO,
            connected_at=now,
        )
        self._succeeded = replace(self._queued, status=TaskStatus.SUCCEEDED, outcome=Outcome(account=account).to_row())

    @override
    def recognise(self, key: str) -> Caller:
        return Caller("ws_1", key)

    @override
    def accept(
        self,
        caller: Caller,
        command: ConnectCommand,
        *,
        request_id: str,
        reply_to: str,
        wait: float,
        task_id: str | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Accepted:
        assert task_id is not None
        self._redis.takes[task_id] = float(command.identifier)
        return Accepted(task_id, request_id, replace(self._queued, id=task_id))

    @override
    def task(self, caller: Caller, task_id: str) -> TaskRow:
        return replace(self._queued, id=task_id)

    @override
    def finished(self, task_ids: list[str]) -> list[TaskRow]:
        return [replace(self._succeeded, id=task_id) for task_id in task_ids if task_id in self._redis.ended]


class InstantQueue:
    def __init__(self, redis: Redis) -> None:
        self.send = redis.send

    def ask_for_dispatch(self) -> None:
        pass

    def ask_to_end_sessions(self) -> None:
        pass

    def unread(self) -> int:
        return 0

    def close(self) -> None:
        pass


class InstantBroker:
    def __init__(self, redis: Redis) -> None:
        self.listen = redis.listen

    async def has_worker(self) -> bool:
        return True

    async def oldest_message_age(self) -> float:
        return 0.0

    async def last_begun(self) -> float:
        return 0.0

    async def close(self) -> None:
        pass


def make_app() -> FastAPI:
    """The API over doubles."""
    redis = Redis()
    settings = Settings(var_dir=Path(tempfile.gettempdir()), redis_url="redis://127.0.0.1:1/0")
    return create_app(settings, service=InstantService(redis), queue=InstantQueue(redis), broker=InstantBroker(redis))


class Server:
    """One server process, or the few it consists of."""

    def __init__(self, name: str) -> None:
        self.port = free_port()
        self.process = psutil.Popen([*COMMANDS[name], str(self.port)], stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(self._answers, what=f"{name} to answer")
        self._processes = [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        times = [process.cpu_times() for process in self._processes]
        return float(sum(time.user + time.system for time in times))

    def memory(self) -> float:
        """MB of resident memory."""
        return float(sum(process.memory_info().rss for process in self._processes) / 1e6)

    def stop(self) -> None:
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").is_success
        return False


@contextmanager
def running(name: str) -> Iterator[Server]:
    server = Server(name)
    try:
        yield server
    finally:
        server.stop()


async def call_again_and_again(port: int, request: bytes, pause: float, until: float) -> list[float]:
    """The times of all answers, in seconds. `pause` comes first, so that not everybody calls at once."""
    await asyncio.sleep(pause)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    while (started := time.monotonic()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0])
        await reader.readexactly(length)
        times.append(time.monotonic() - started)
    writer.close()
    return times


async def load(port: int, case: Case, seconds: float) -> list[float]:
    until = time.monotonic() + seconds
    pauses = (case.takes * caller / case.callers for caller in range(case.callers))
    callers = (call_again_and_again(port, case.request, pause, until) for pause in pauses)
    return [answered for times in await asyncio.gather(*callers) for answered in times]


def measure(server: Server, case: Case, seconds: float) -> Result:
    cpu, started = server.cpu(), time.monotonic()
    times = asyncio.run(load(server.port, case, seconds))
    return Result(
        requests_per_second=len(times) / (time.monotonic() - started),
        cpu=(server.cpu() - cpu) / len(times) * 1e3,
        p50=(statistics.median(times) - (case.takes if "wait" in case.prefer else 0.0)) * 1e3,
        memory=server.memory(),
    )


def stop_while_a_caller_waits(name: str) -> tuple[str, float, int]:
    """What the caller is answered, how many seconds after SIGTERM the process has ended, and its exit code."""
    with running(name) as server, ThreadPoolExecutor(1) as threads:
        call = threads.submit(wait_for_a_task_that_does_not_end, server)
        time.sleep(0.5)  # the request has arrived; nothing tells when
        started = time.monotonic()
        server.process.terminate()
        code = server.process.wait(60)
        return call.result(60), time.monotonic() - started, code


def wait_for_a_task_that_does_not_end(server: Server) -> str:
    try:
        answer = httpx.get(
            f"{server.url}/v1/connect/tasks/ct_1?wait=30", headers={"Authorization": "Bearer x"}, timeout=60
        )
    except httpx.TransportError as error:
        return type(error).__name__
    return str(answer.status_code)


def results(servers: dict[str, Server], rounds: int, seconds: float) -> Iterator[tuple[Case, str, Result]]:
    for case in CASES:
        measured: dict[str, list[Result]] = {name: [] for name in servers}
        for _ in range(1 + rounds):
            for name, server in servers.items():
                measured[name].append(measure(server, case, seconds))
        for name, of_server in measured.items():
            yield case, name, median(of_server[1:])  # the first round warms up


def median(rounds: list[Result]) -> Result:
    columns = zip(*((one.requests_per_second, one.cpu, one.p50, one.memory) for one in rounds), strict=True)
    return Result(*(statistics.median(column) for column in columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load for each case and round")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        run(make_app(), "127.0.0.1", options.serve)
        return

    table = Table("server", "case", "requests/s", "CPU ms/request", "p50 added ms", "RSS MB")
    with running("uvicorn") as uvicorn, running("granian") as granian:
        servers = {"uvicorn": uvicorn, "granian": granian}
        for case, name, one in results(servers, options.rounds, options.seconds):
            table.add_row(
                name,
                case.name,
                f"{one.requests_per_second:.0f}",
                f"{one.cpu:.2f}",
                f"{one.p50:.1f}",
                f"{one.memory:.0f}",
            )
    stops = Table("server", "a waiting caller gets", "seconds to the end", "exit code")
    for name in COMMANDS:
        answer, seconds, code = stop_while_a_caller_waits(name)
        stops.add_row(name, answer, f"{seconds:.1f}", str(code))
    console = Console()
    console.print(table, stops)


if __name__ == "__main__":
    main()
