"""A snapshot as people see it, on 80 columns."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.ages import answer_time, lasting
from cli.importing.progress import counts_text, ended_rows, pace_text, share_text, wait_text
from cli.status.snapshot import Moving, Snapshot, free_threads
from connections.contract import UNFINISHED_STATUSES, TaskStatus
from connections.messages import Queue
from worker.dispatch_plan import UNKNOWN
from worker.pacing import Room

HOSTS = 5
BATCHES = 4

# What there is beside batches, and what one of those takes.
_OTHER_LINES = 22
_BATCH_LINES = 5

_NOTHING = Text("-", style="bright_black")
_STATUSES = [status for status in TaskStatus if status in UNFINISHED_STATUSES]


def picture(snapshot: Snapshot, place: str, now: datetime) -> RenderableType:
    """`place` is where the database is; dates are told in the zone of `now`."""
    heading = Table.grid(expand=True)
    heading.add_column()
    heading.add_column(justify="right")
    heading.add_row(Text(place, style="bold", overflow="ellipsis", no_wrap=True), f"{now:%H:%M:%S}")
    return Group(
        heading,
        Text(),
        _queues(snapshot),
        Text(),
        _workers(snapshot),
        Text(),
        _hosts(snapshot),
        *_batches(snapshot, now),
        Text(),
        _endings(snapshot),
    )


def batches_for(height: int) -> int:
    """How many batches a terminal of so many lines has room for."""
    return min(BATCHES, max(1, (height - _OTHER_LINES) // _BATCH_LINES))


def _queues(snapshot: Snapshot) -> Table:
    table = _table("queue", *_STATUSES, "oldest", "messages")
    rows = {(one.queue, one.status): one.rows for one in snapshot.in_flight}
    messages = snapshot.moving.messages if isinstance(snapshot.moving, Moving) else {}
    for queue in Queue:
        ages = [one.oldest_seconds for one in snapshot.in_flight if one.queue == queue]
        table.add_row(
            queue,
            *(_count(rows.get((queue, status), 0)) for status in _STATUSES),
            lasting(max(ages)) if ages else _NOTHING,
            _count(messages.get(queue, 0)) if messages else "?",
        )
    return table


def _workers(snapshot: Snapshot) -> Text:
    if isinstance(snapshot.moving, str):
        return Text(f"Redis: {snapshot.moving}", style="red")
    threads = snapshot.moving.threads
    if not threads:
        return Text("No worker is alive; `connector doctor` looks further.", style="red")
    counted = f"{len(threads)} {'worker' if len(threads) == 1 else 'workers'}"
    free = free_threads(snapshot) or 0
    return Text(
        f"{counted}, {sum(threads):,} threads, about {free:,} of them free", style="green" if free else "yellow"
    )


def _hosts(snapshot: Snapshot) -> Table:
    table = _table("host", "waiting", "due", "under way", "next turn", "next minute", "answers in")
    rooms = snapshot.moving.rooms if isinstance(snapshot.moving, Moving) else {}
    waiting = {one.host: one for one in snapshot.hosts}
    # Those that rows wait for, then the operator's own, as their budgets are everybody's.
    names = [*dict.fromkeys([*list(waiting)[:HOSTS], *sorted(rooms)])][: HOSTS + 2]
    for name in names:
        one = waiting.get(name)
        table.add_row(
            Text(name, overflow="ellipsis", no_wrap=True) if name != UNKNOWN else Text("not known yet", style="italic"),
            _count(one.rows if one else 0),
            _count(one.due if one else 0),
            _count(snapshot.under_way.get(name, 0)),
            *_room(rooms.get(name)),
        )
    return table


def _room(room: Room | None) -> Sequence[Text | str]:
    if room is None:
        return [_NOTHING] * 3
    turn = "now" if room.wait < 1 else f"in {lasting(room.wait)}"
    style = "yellow" if room.wait >= 1 else ""
    return [Text(turn, style), f"{room.requests:,.0f}", _NOTHING if room.seconds is None else answer_time(room.seconds)]


def _batches(snapshot: Snapshot, now: datetime) -> Iterator[RenderableType]:
    for batch in snapshot.batches:
        yield Text()
        line = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(batch.total, 1), completed=ended_rows(batch), width=16)
        line.add_row(batch.id, bar, share_text(batch))
        yield line
        said = (counts_text(batch), "; ".join(filter(None, (pace_text(batch, now), wait_text(batch.waits_for, now)))))
        yield from (
            Padding(Text(text, style=style), (0, 0, 0, 2))
            for text, style in zip(said, ("", "cyan"), strict=True)
            if text
        )
    more = snapshot.open_batches - len(snapshot.batches)
    if more > 0:
        yield Text(f"\nand {more:,} {'batch' if more == 1 else 'batches'} more", style="bright_black")


def _endings(snapshot: Snapshot) -> Text:
    ended = ", ".join(f"{one.cause or 'connected'} {one.rows:,}" for one in snapshot.endings)
    return Text.assemble(("ended in the last minute: ", "bright_black"), ended or "none")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 0, 0, 2), pad_edge=False, header_style="bright_black")
    table.add_column(first, ratio=1, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _count(number: int) -> Text | str:
    return f"{number:,}" if number else _NOTHING
