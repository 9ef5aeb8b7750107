"""Runs several processes as one: they start in order, end together, and none outlives this one.

Written for this rather than taken from honcho, which starts each child under a shell and a process of its own, ends
them in no order, leaves them running when it is killed, and exits 0 when a child that should run for ever ends well.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from cli.failures import CommandFailed
from cli.printer import OWN_NAME, Printer

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS = 0.05
_READ_BYTES = 65_536
_LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run. `grace` is how many seconds it has to end after SIGTERM; `quiet` shows only its errors."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # added to our own environment
    stdin: str = field(default="", repr=False)
    grace: float = 10.0
    quiet: bool = False


class Stopping(Exception):
    """It is time to end: a signal came, or a process has ended by itself."""


class Supervisor:
    """An asynchronous context: whatever was started in it has ended when it is left.

    Must be used from the main thread, and before there are others.
    """

    def __init__(self, printer: Printer) -> None:
        self.exit_status = 0
        self._printer = printer
        self._children: list[list[_Child]] = []
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Stops what runs, last started first, and lets `Stopping` end the block."""
        self._stopping.set()
        while self._children:
            await asyncio.gather(*(self._stop(child) for child in self._children[-1]))
            self._children.pop()
        self._say("stopped")
        return kind is Stopping

    async def start(self, *commands: Command) -> None:
        """Starts processes that belong together: they also stop at the same time."""
        if self._stopping.is_set():
            raise Stopping
        group: list[_Child] = []
        self._children.append(group)
        for command in commands:
            child = await _Child.start(command, self._printer, self._on_end)
            group.append(child)  # each at once: should the next one not start, this one must still be stopped

    async def wait_until(self, ready: Callable[[], Awaitable[bool]], *, what: str, seconds: float) -> None:
        """Raises `Stopping` when it is time to end, `CommandFailed` when `seconds` went by."""
        try:
            async with asyncio.timeout(seconds):
                while not await ready():
                    await self._pause()
        except TimeoutError:
            raise CommandFailed(f"waited {seconds:g} seconds in vain for {what}") from None

    async def wait(self) -> None:
        """Returns never: raises `Stopping` when it is time to end."""
        await self._stopping.wait()
        raise Stopping

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise Stopping

    async def _stop(self, child: "_Child") -> None:
        if not await child.stop():
            self.exit_status = 1
            self._say(f"{child.name} did not stop in {child.grace:g} seconds and was killed")

    def _on_signal(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self._say("stopping; once more to stop at once")
            return
        self.exit_status = 1
        for child in (child for group in self._children for child in group):
            child.kill()

    def _on_end(self, child: "_Child", how: str) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self.exit_status = 1
            self._say(f"{child.name} {how}; stopping the others")

    def _say(self, text: str) -> None:
        self._printer.line(OWN_NAME, text)


class _Child:
    """One running process; its output goes to the printer line by line."""

    def __init__(
        self, command: Command, process: asyncio.subprocess.Process, printer: Printer, on_end: "_OnEnd"
    ) -> None:
        self.name = command.name
        self.grace = command.grace
        self._process = process
        self._printer = printer
        self._watch = asyncio.create_task(self._until_end(on_end))

    @classmethod
    async def start(cls, command: Command, printer: Printer, on_end: "_OnEnd") -> "_Child":
        colours = {"FORCE_COLOR": "1"} if printer.has_colours else {}
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            env={**os.environ, **colours, **command.env},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL if command.quiet else asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if command.quiet else asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
            preexec_fn=_end_with(os.getpid()),
        )
        assert process.stdin is not None
        process.stdin.write(command.stdin.encode())
        process.stdin.close()
        return cls(command, process, printer, on_end)

    async def stop(self) -> bool:
        """False when it had to be killed."""
        if self._process.returncode is None:
            self._process.terminate()
        ended, _ = await asyncio.wait([self._watch], timeout=self.grace)
        if not ended:
            self.kill()
            await self._watch
        return bool(ended)

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def _until_end(self, on_end: "_OnEnd") -> None:
        output = asyncio.create_task(self._print_output())
        status = await self._process.wait()
        # What it said last explains how it ended. Someone it started may hold its output open for ever, though.
        await asyncio.wait([output], timeout=_LAST_WORDS_SECONDS)
        output.cancel()
        on_end(self, f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}")

    async def _print_output(self) -> None:
        output = self._process.stdout or self._process.stderr
        assert output is not None
        rest = b""
        while chunk := await output.read(_READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._print(line)
        if rest:
            self._print(rest)

    def _print(self, line: bytes) -> None:
        if text := line.decode(errors="replace").rstrip():
            self._printer.line(self.name, text)


_OnEnd = Callable[[_Child, str], None]


def _end_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program: asks the kernel to kill it when `parent` dies in any way.

    Only Linux offers that. Killed rather than asked to stop, because a worker whose queue has gone would wait for it to
    come back; and a worker may be killed at any time, nothing is lost.
    """
    if sys.platform != "linux":
        return None

    def tie() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
