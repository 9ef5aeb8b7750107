"""What the dispatcher asks of the tables: open batches, where their rows wait, and what is on its way."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, literal, null, select, update

from connections.contract import UNFINISHED_STATUSES
from connections.models import DISPATCHED, UNFINISHED, WAITS_FOR_DISPATCH, connect_batches, connect_tasks
from connections.sqltime import at_most, from_now

# A batch that has been arriving for so long will not be completed any more.
_ARRIVES_WITHIN_SECONDS = 86_400.0

# Longer statements than with these are parsed anew each time by psycopg.
_IDS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch with rows that may not have ended. `is_over`: canceled, or never completed; its rows are not sent."""

    id: str
    workspace_id: str
    is_over: bool
    waits_for: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class WaitingRows:
    """Rows of one batch that wait in one lane: `due` of them may be sent now, others from `next_at` on.

    `next_at` is the earliest of all, and by the database's clock as `now` is.
    """

    batch_id: str
    lane: str
    due: int
    next_at: datetime
    now: datetime


def open_batches(connection: Connection) -> list[OpenBatch]:
    """Oldest first. A batch that is still arriving is none of them."""
    batches = connect_batches.c
    is_abandoned = and_(batches.accepted_at.is_(None), batches.created_at <= from_now(-_ARRIVES_WITHIN_SECONDS))
    query = select(
        batches.id,
        batches.workspace_id,
        (batches.canceled_at.is_not(None) | is_abandoned).label("is_over"),
        batches.waits_for,
        (batches.accepted_at.is_not(None) | is_abandoned).label("is_open"),
        batches.created_at,
    ).where(UNFINISHED)
    # Sorted here, because SQLite sorts all the same: it takes the index of those that have finished.
    rows = sorted(connection.execute(query), key=lambda row: (row.created_at, row.id))
    return [OpenBatch(row.id, row.workspace_id, row.is_over, row.waits_for) for row in rows if row.is_open]


def waiting_rows(connection: Connection, batch_ids: Sequence[str], *, count_to: int) -> list[WaitingRows]:
    """Where rows of the batches wait. `due` is counted up to `count_to`.

    Steps from lane to lane in the index instead of reading the rows of all ("loose index scan").
    """
    return [
        WaitingRows(batch_id, *row)
        for batch_id in batch_ids
        for row in connection.execute(_waiting_rows(), {"batch": batch_id, "count_to": count_to})
    ]


@cache
def _waiting_rows() -> Any:
    tasks = connect_tasks.c
    in_batch = and_(tasks.batch_id == bindparam("batch"), WAITS_FOR_DISPATCH)
    over = select(func.min(tasks.lane).label("lane")).where(in_batch).cte("over_lanes", recursive=True)
    next_lane = select(func.min(tasks.lane)).where(in_batch, tasks.lane > over.c.lane)
    over = over.union_all(select(next_lane.correlate(over).scalar_subquery()).where(over.c.lane.is_not(None)))
    in_lane = and_(in_batch, tasks.lane == over.c.lane)
    some = select(literal(1)).where(in_lane, tasks.dispatch_at <= from_now()).limit(bindparam("count_to"))
    due = select(func.count()).select_from(some.correlate(over).subquery("over_due")).correlate(over)
    next_at = select(func.min(tasks.dispatch_at)).where(in_lane).correlate(over)
    return select(
        over.c.lane,
        due.scalar_subquery().label("due"),
        next_at.scalar_subquery().label("next_at"),
        from_now().label("now"),
    ).where(over.c.lane.is_not(None))


def rows_on_their_way(connection: Connection) -> dict[tuple[str, str], int]:
    """How many rows were sent and have not ended, by batch and lane."""
    batch_id, lane = connect_tasks.c.batch_id, connect_tasks.c.lane
    query = select(batch_id, lane, func.count()).where(DISPATCHED, lane >= "").group_by(lane, batch_id)
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def due_rows(connection: Connection, batch_id: str, lane: str, *, limit: int) -> list[str]:
    """Ids of rows that may be sent now, those that wait longest first, locked so that nobody else sends them."""
    return list(connection.execute(_due_rows(), {"batch": batch_id, "of_lane": lane, "most": limit}).scalars())


@cache
def _due_rows() -> Any:
    tasks = connect_tasks.c
    return (
        select(tasks.id)
        .where(
            tasks.batch_id == bindparam("batch"),
            tasks.lane == bindparam("of_lane"),
            WAITS_FOR_DISPATCH,
            tasks.dispatch_at <= from_now(),
        )
        .order_by(tasks.dispatch_at, tasks.batch_row)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )


def mark_sent(connection: Connection, task_ids: Collection[str], *, sweep_in: float) -> None:
    """Their messages are about to be sent. Rows that nobody has begun `sweep_in` seconds later are found by the sweep,
    or when they expire.
    """
    rest = iter(task_ids)
    while some := list(islice(rest, _IDS_AT_ONCE)):
        connection.execute(_mark_sent(), {"ids": some, "sweep_in": sweep_in})


@cache
def _mark_sent() -> Any:
    tasks = connect_tasks.c
    return (
        update(connect_tasks)
        .where(tasks.id.in_(bindparam("ids", expanding=True)))
        .values(dispatch_at=None, sweep_at=at_most(tasks.expires_at, "sweep_in"), sweeps=0)
    )


def note_wait(connection: Connection, batch_id: str, waits_for: dict[str, Any] | None) -> None:
    """Says what holds the rest of the batch back."""
    change = update(connect_batches).where(connect_batches.c.id == batch_id, UNFINISHED).values(waits_for=waits_for)
    connection.execute(change)


def finish_batch(connection: Connection, batch_id: str) -> bool:
    """Notes that all rows of the batch have ended. False while one has not."""
    tasks = connect_tasks.c
    in_flight = select(tasks.id).where(tasks.batch_id == batch_id, tasks.status.in_(UNFINISHED_STATUSES))
    change = (
        update(connect_batches)
        .where(connect_batches.c.id == batch_id, UNFINISHED, ~in_flight.exists())
        .values(finished_at=from_now(), waits_for=null())
    )
    return connection.execute(change).rowcount == 1
