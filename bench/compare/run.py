"""One contender, started, warmed up, measured and stopped."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from bench.compare.contender import Contender
from bench.compare.job import SLOTS, Job, Login
from bench.compare.place import Place
from bench.compare.processes import Peak, cpu_seconds
from sandbox.process import end
from tests.processes import ROOT, running
from tests.servers import free_port, wait_until

CALLER = "caller"
WARM_UP = 3 * SLOTS
"""Enough for every slot to have opened its connections."""

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many connects are measured: with one caller, and of many at the same time."""

    alone: int
    many: int

    @property
    def accounts(self) -> int:
        """As many as one contender connects, each of them once."""
        return WARM_UP + self.alone + 2 * self.many


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one contender.

    `alone` and `together` are the seconds of each connect with one caller and with one for each slot; empty where
    nobody waits for a single one. `per_second`, and `cpu` in seconds a connect by process, are of the many: sent at
    once where that is possible, else by the callers. `peak` is in bytes, of the processes that do the job: `jobs`.
    """

    alone: Sequence[float]
    together: Sequence[float]
    per_second: float
    cpu: Mapping[str, float]
    peak: int
    jobs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of each connect, and from the first to the last."""

    times: list[float]
    seconds: float


class CallerProcess:
    """`bench.compare.caller` at the other end of two pipes. Raises `RuntimeError` when it ends without an answer."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.compare.caller", module],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def in_turns(self, logins: Sequence[Login], callers: int) -> Turns:
        """What `Caller.in_turns` is for."""
        answer = self._order(logins, callers=callers)
        return Turns(answer["each"], answer["all"])

    def at_once(self, logins: Sequence[Login]) -> float:
        """Seconds until the last result."""
        return float(self._order(logins)["all"])

    def close(self) -> None:
        end(self._process, grace=_STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def _order(self, logins: Sequence[Login], **how: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        credentials = [(login.identifier, login.password) for login in logins]
        self._process.stdin.write(json.dumps({"logins": credentials, **how}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the caller has ended; its error output says why")
        answered: dict[str, Any] = json.loads(answer)
        return answered


@dataclass(frozen=True, slots=True)
class Started:
    """A contender whose processes run: all there are by name, those of the servers too, and which do the job."""

    caller: CallerProcess
    pids: Mapping[str, int]
    jobs: Sequence[str]


def measure(contender: Contender, place: Place, sizes: Sizes) -> Measured:
    """Raises `RuntimeError` when a connect fails."""
    accounts = iter(place.upstream.accounts)

    def logins(number: int) -> list[Login]:
        return [Login(contender.identifier.of(account), account.app_password) for account in islice(accounts, number)]

    alone: Sequence[float] = ()
    together: Sequence[float] = ()
    with _started(contender, place) as started:
        caller, peak = started.caller, Peak(started.pids[name] for name in started.jobs)
        with peak.watching():
            if contender.in_turns:
                caller.in_turns(logins(WARM_UP), SLOTS)
                alone = caller.in_turns(logins(sizes.alone), 1).times
                before = _cpu(started)
                turns = caller.in_turns(logins(sizes.many), SLOTS)
                together, seconds = turns.times, turns.seconds
            else:
                caller.at_once(logins(WARM_UP))
            if contender.at_once:
                before = _cpu(started)
                seconds = caller.at_once(logins(sizes.many))
            after = _cpu(started)
    return Measured(
        alone,
        together,
        per_second=sizes.many / seconds,
        cpu={name: (after[name] - before[name]) / sizes.many for name in after},
        peak=peak.bytes,
        jobs=started.jobs,
    )


def _cpu(started: Started) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in started.pids.items()}


@contextmanager
def _started(contender: Contender, place: Place) -> Iterator[Started]:
    with place.valkey.client() as client:
        client.flushall()
    port = free_port()
    job = Job(place.upstream.url, place.upstream.ca, contender.clients)
    environment = {**job.to_environment(), "BENCH_REDIS": place.valkey.url, "BENCH_PORT": str(port)}
    with ExitStack() as stack:
        if contender.prepare is not None:
            environment |= contender.prepare(place, stack)
        log = place.directory / f"{contender.module}.log"
        pids = {
            name: stack.enter_context(running(command, environment=environment, log=log)).pid
            for name, command in contender.commands(port).items()
        }
        if contender.has_api:
            wait_until(partial(_listens, port), what=f"{contender.name} to listen")
        caller = CallerProcess(contender.module, environment)
        stack.callback(caller.close)
        pids |= {CALLER: caller.pid, **place.pids}
        yield Started(caller, pids, tuple(contender.jobs) or (CALLER,))


def _listens(port: int) -> bool:
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
