"""Batches that are arriving: staged row by row, then accepted as a whole, or taken back without a trace."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from connections.contract import AcceptedBatch, BatchStatus, RejectedRow, TaskStatus
from connections.messages import Queue
from connections.models import IS_THERE, connect_batch_rejections, connect_batches, connect_tasks, profiles
from connections.sqltime import from_now
from connections.vault import key_id_of

MAX_ATTEMPTS = 12


def known_profiles(connection: Connection, workspace_id: str, profile_ids: Collection[str]) -> set[str]:
    """Those of the ids that are profiles of the workspace."""
    query = select(profiles.c.id).where(
        profiles.c.id.in_(profile_ids), profiles.c.workspace_id == workspace_id, IS_THERE
    )
    return set(connection.execute(query).scalars())


@dataclass(frozen=True, slots=True)
class StagedBatch:
    """What all rows of a batch have in common. `expires_in` is in seconds from the staging of each."""

    id: str
    workspace_id: str
    key_id: str
    platform: str
    request_id: str
    expires_in: float
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row that will be a task. Its fingerprint is its own: no request joins it, and it joins none.

    `lane` is the host that it waits for, empty while nobody knows where it leads.
    """

    task_id: str
    row: int
    profile_id: str
    external_ref: str | None
    lane: str
    sealed_credentials: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)


def insert_batch(connection: Connection, batch: StagedBatch) -> None:
    """One that nobody sees until it is accepted."""
    change = insert(connect_batches).values(
        id=batch.id,
        workspace_id=batch.workspace_id,
        platform=batch.platform,
        request_id=batch.request_id,
        total=0,
        created_at=from_now(),
    )
    connection.execute(change)


def stage_rows(connection: Connection, batch: StagedBatch, rows: Sequence[StagedRow]) -> None:
    """Tasks that wait for a dispatcher; the sweep only ends them, accepted or not, when their time is over."""
    change = insert(connect_tasks).values(
        workspace_id=batch.workspace_id,
        key_id=batch.key_id,
        platform=batch.platform,
        queue=Queue.BULK,
        status=TaskStatus.QUEUED,
        request_id=batch.request_id,
        attempts=0,
        max_attempts=MAX_ATTEMPTS,
        fence=0,
        available_at=from_now(),
        sweep_at=from_now(batch.expires_in),
        sweeps=0,
        expires_at=from_now(batch.expires_in),
        created_at=from_now(),
        batch_id=batch.id,
        dispatch_at=from_now(),
    )
    if batch.traceparent is not None:
        change = change.values(traceparent=batch.traceparent)
    values = [
        {
            "id": row.task_id,
            "profile_id": row.profile_id,
            "sealed_credentials": row.sealed_credentials,
            "sealing_key": key_id_of(row.sealed_credentials),
            "fingerprint": row.fingerprint,
            "batch_row": row.row,
            "external_ref": row.external_ref,
            "lane": row.lane,
        }
        for row in rows
    ]
    connection.execute(change, values)


def stage_rejections(connection: Connection, batch: StagedBatch, rows: Sequence[RejectedRow]) -> None:
    change = insert(connect_batch_rejections).values(batch_id=batch.id, created_at=from_now())
    values = [
        {
            "batch_row": row.row,
            "line": row.line,
            "external_ref": row.external_ref,
            "issues": [issue.model_dump(mode="json") for issue in row.issues],
        }
        for row in rows
    ]
    connection.execute(change, values)


def accept_batch(connection: Connection, batch_id: str, *, total: int, has_tasks: bool) -> None:
    """Makes it visible. One without a task has ended by that."""
    change = (
        update(connect_batches)
        .where(connect_batches.c.id == batch_id)
        .values(total=total, accepted_at=from_now(), finished_at=None if has_tasks else from_now())
    )
    connection.execute(change)


def accepted_batch(connection: Connection, batch_id: str) -> AcceptedBatch:
    """What was answered when it was accepted, whatever has become of it since."""
    query = (
        select(
            connect_batch_rejections.c.batch_row.label("row"),
            connect_batch_rejections.c.line,
            connect_batch_rejections.c.external_ref,
            connect_batch_rejections.c.issues,
        )
        .where(connect_batch_rejections.c.batch_id == batch_id)
        .order_by(connect_batch_rejections.c.batch_row)
    )
    total = connection.execute(select(connect_batches.c.total).where(connect_batches.c.id == batch_id)).scalar_one()
    rejected = [RejectedRow(**row._mapping) for row in connection.execute(query)]
    status = BatchStatus.FINISHED if len(rejected) == total else BatchStatus.RUNNING
    return AcceptedBatch(id=batch_id, status=status, total=total, rejected=rejected)


def delete_staged(connection: Connection, batch_id: str, *, first: int, last: int) -> None:
    """Takes back rows by their numbers; none of a batch that was accepted, nor one that is just being accepted."""
    is_staged = select(connect_batches.c.id).where(
        connect_batches.c.id == batch_id, connect_batches.c.accepted_at.is_(None)
    )
    if connection.execute(is_staged.with_for_update()).first() is None:
        return
    for rows in (connect_tasks, connect_batch_rejections):
        numbers = rows.c.batch_row.between(first, last)
        connection.execute(delete(rows).where(rows.c.batch_id == batch_id, numbers))


def delete_batch_arriving(connection: Connection, batch_id: str) -> None:
    """Takes back the batch itself, unless it was accepted."""
    change = delete(connect_batches).where(connect_batches.c.id == batch_id, connect_batches.c.accepted_at.is_(None))
    connection.execute(change)
