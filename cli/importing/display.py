"""Progress where somebody looks, or in lines where nobody does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.importing.progress import counts_text, ended_rows, line_text, pace_text, share_text, wait_text
from connections.contract import Batch

LINE_SECONDS = 10.0


class Display(Protocol):
    def show(self, batch: Batch) -> None:
        """Shows how far the batch has come."""

    def say(self, text: str) -> None:
        """Shows something out of the ordinary, until there is progress again."""


@contextmanager
def open_display(title: str) -> Iterator[Display]:
    """On stderr: stdout is for the outcome."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        yield Lines(console, title)
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield Screen(live, title)


class Lines:
    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._due = 0.0
        self._last: str | None = None
        console.print(title)

    def show(self, batch: Batch) -> None:
        now = time.monotonic()
        if self._last is None:
            self._console.print(f"Batch {batch.id}")
        line = line_text(batch, _now())
        has_ended = ended_rows(batch) == batch.total
        if now >= self._due or (has_ended and line != self._last):
            self._due, self._last = now + LINE_SECONDS, line
            self._console.print(line)

    def say(self, text: str) -> None:
        self._console.print(text)


class Screen:
    def __init__(self, live: Live, title: str) -> None:
        self._live = live
        self._title = title
        self._batch: Batch | None = None
        self._draw()

    def show(self, batch: Batch) -> None:
        self._batch = batch
        self._draw()

    def say(self, text: str) -> None:
        self._draw(text)

    def _draw(self, remark: str = "") -> None:
        self._live.update(Group(*_picture(self._title, self._batch, remark, _now())), refresh=True)


def _picture(title: str, batch: Batch | None, remark: str, now: datetime) -> Iterator[RenderableType]:
    yield Text(title if batch is None else f"{title}, batch {batch.id}", style="bold")
    if batch is not None:
        bar = Table.grid(padding=(0, 2))
        bar.add_row(ProgressBar(total=max(batch.total, 1), completed=ended_rows(batch), width=40), share_text(batch))
        yield bar
        yield Text(counts_text(batch))
        for text in filter(None, (pace_text(batch, now), wait_text(batch.waits_for, now))):
            yield Text(text, style="cyan")
    if remark:
        yield Text(remark, style="yellow")


def _now() -> datetime:
    """In the zone of who looks."""
    return datetime.now().astimezone()
