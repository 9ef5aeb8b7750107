"""Processes run as one: in order, to the end, and none left over. The children are small programs."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cli.failures import CommandFailed
from cli.printer import Printer
from cli.supervisor import Command, Supervisor
from tests.processes import ROOT
from tests.servers import wait_until

# Says when it runs and when it ends well; `TERM` in its name makes it deaf to SIGTERM.
CHILD = """
import signal, sys
name = sys.argv[1]
def end(number, frame):
    print("ended", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in name else end)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("runs", flush=True)
while True:
    signal.pause()
"""


def child(name: str, *, grace: float = 10.0) -> Command:
    return Command(name, [sys.executable, "-c", CHILD, name], grace=grace)


class Run:
    """One supervised run and what it printed."""

    def __init__(self) -> None:
        self.output = io.StringIO()
        self.supervisor = Supervisor(Printer(self.output))

    @property
    def lines(self) -> list[str]:
        return [" ".join(line.split()) for line in self.output.getvalue().splitlines()]

    async def until(self, *lines: str) -> None:
        async def all_printed() -> bool:
            return set(lines) <= set(self.lines)

        await self.supervisor.wait_until(all_printed, what=f"{lines} among {self.lines}", seconds=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_all_the_last_started_first(number: signal.Signals) -> None:
    run = Run()
    async with run.supervisor as supervisor:
        await supervisor.start(child("valkey"))
        await supervisor.start(child("worker-1"), child("worker-2"))
        await supervisor.start(child("api"))
        await run.until("valkey │ runs", "worker-1 │ runs", "worker-2 │ runs", "api │ runs")
        os.kill(os.getpid(), number)
        await supervisor.wait()

    assert supervisor.exit_status == 0
    order = [line for line in run.lines if line.endswith("ended")]
    assert order[0] == "api │ ended"
    assert set(order[1:3]) == {"worker-1 │ ended", "worker-2 │ ended"}
    assert order[3] == "valkey │ ended"
    assert run.lines[-1] == "connector │ stopped"


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("print('my last words', end='')", "ended with status 0"),
        ("import sys; print('my last words', file=sys.stderr); sys.exit(3)", "ended with status 3"),
        ("import os, signal; print('my last words', flush=True); os.kill(os.getpid(), signal.SIGKILL)",
         "was ended by SIGKILL"),
    ],
    ids=["well", "badly", "killed"],
)  # fmt: skip
async def test_whatever_ends_ends_all(program: str, how: str) -> None:
    run = Run()
    async with run.supervisor as supervisor:
        await supervisor.start(child("beat"))
        await run.until("beat │ runs")
        await supervisor.start(Command("worker", [sys.executable, "-c", program]))
        await supervisor.wait()

    assert supervisor.exit_status == 1
    assert run.lines[1:] == [
        "worker │ my last words",
        f"connector │ worker {how}; stopping the others",
        "beat │ ended",
        "connector │ stopped",
    ]


async def test_what_does_not_stop_in_time_is_killed() -> None:
    run = Run()
    async with run.supervisor as supervisor:
        await supervisor.start(child("deaf", grace=0.1))
        await run.until("deaf │ runs")
        os.kill(os.getpid(), signal.SIGTERM)
        await supervisor.wait()

    assert supervisor.exit_status == 1
    assert "connector │ deaf did not stop in 0.1 seconds and was killed" in run.lines


async def test_a_second_signal_stops_at_once() -> None:
    run = Run()

    async with asyncio.timeout(10), run.supervisor as supervisor:
        await supervisor.start(child("deaf", grace=60))
        await run.until("deaf │ runs")
        asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        await supervisor.wait()

    assert supervisor.exit_status == 1


async def test_nothing_starts_any_more_once_it_is_time_to_end() -> None:
    run = Run()
    async with run.supervisor as supervisor:
        os.kill(os.getpid(), signal.SIGTERM)
        await run.until("connector │ stopping; once more to stop at once")
        await supervisor.start(child("late"))

    assert not any("late" in line for line in run.lines)


async def test_waiting_in_vain_stops_what_runs() -> None:
    run = Run()

    async def never() -> bool:
        return False

    async def wait_in_vain() -> None:
        async with run.supervisor as supervisor:
            await supervisor.start(child("api"))
            await run.until("api │ runs")
            await supervisor.wait_until(never, what="a miracle", seconds=0.1)

    with pytest.raises(CommandFailed, match=r"waited 0\.1 seconds in vain for a miracle"):
        await wait_in_vain()

    assert run.lines[-2:] == ["api │ ended", "connector │ stopped"]


async def test_secrets_travel_by_stdin_and_environment_and_quiet_children_show_errors_only() -> None:
    run = Run()
    program = "import os, sys; print('chatter'); sys.exit(sys.stdin.read() + os.environ['EXTRA'])"
    async with run.supervisor as supervisor:
        command = Command("it", [sys.executable, "-c", program], stdin="a", env={"EXTRA": "b"}, quiet=True)
        assert "'b'" not in repr(command)
        await supervisor.start(command)
        await supervisor.wait()

    assert run.lines[0] == "it │ ab"


PARENT = """
import asyncio, sys
from cli.printer import Printer
from cli.supervisor import Command, Supervisor

async def run():
    async with Supervisor(Printer()) as supervisor:
        for name in ("deaf", "other"):
            await supervisor.start(Command(name, [sys.executable, "-c", sys.argv[1], name], grace=0.2))
        await supervisor.wait()

asyncio.run(run())
"""


@pytest.fixture
def parent(tmp_path: Path) -> Callable[[], "subprocess.Popen[bytes]"]:
    log = tmp_path / "log"

    def start() -> "subprocess.Popen[bytes]":
        with log.open("wb") as stream:
            process = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], cwd=ROOT, stdout=stream, stderr=stream)
        wait_until(lambda: log.read_bytes().count(b"runs") == 2, what="both children")
        return process

    return start


def test_none_outlives_a_killed_supervisor(parent: Callable[[], "subprocess.Popen[bytes]"]) -> None:
    process = parent()
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2

    process.kill()
    process.wait()

    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_nobody_reading_the_output_is_no_reason_to_leave_children_behind() -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PARENT, CHILD],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert {process.stdout.readline(), process.stdout.readline()} == {
        "deaf      │ runs\n".encode(),
        "other     │ runs\n".encode(),
    }
    children = psutil.Process(process.pid).children(recursive=True)
    process.stdout.close()

    process.send_signal(signal.SIGTERM)

    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=20)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
