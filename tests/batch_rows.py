"""Batches as they are in the tables, with rows in every state."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select

from connections.contract import (
    UNFINISHED_ROWS,
    Account,
    AccountStatus,
    ConnectionType,
    ErrorBody,
    Issue,
    RowStatus,
    TaskStatus,
)
from connections.db import Database
from connections.errors import AlreadyConnected, Canceled, CredentialsRejected, UpstreamFailed
from connections.ids import new_id
from connections.models import connect_batch_rejections, connect_batches, connect_tasks
from connections.outcome import Outcome
from connections.repository import attempts
from tests.factories import Tenant

R = RowStatus

ISSUES = [
    Issue(field="handle", code="required", message="handle is required."),
    Issue(field="app_password", code="too_long", message="app_password is too long."),
]

_TASK_STATUS = {
    R.QUEUED: TaskStatus.QUEUED,
    R.RUNNING: TaskStatus.RUNNING,
    R.RETRYING: TaskStatus.RETRYING,
    R.CONNECTED: TaskStatus.SUCCEEDED,
    R.ALREADY_CONNECTED: TaskStatus.FAILED,
    R.FAILED: TaskStatus.FAILED,
    R.EXPIRED: TaskStatus.EXPIRED,
    R.CANCELED: TaskStatus.FAILED,
}


def insert_batch(
    database: Database, tenant: Tenant, rows: Sequence[RowStatus], *, accepted: bool = True, age: float = 30.0
) -> str:
    """A batch that was sent `age` seconds ago, with rows in these states; those that ended did so 10 seconds later."""
    batch_id, now = new_id("cb"), datetime.now(UTC)
    created = now - timedelta(seconds=age)
    ended = created + timedelta(seconds=10)
    batch = {
        "id": batch_id,
        "workspace_id": tenant.workspace_id,
        "platform": "bluesky",
        "request_id": "req_1",
        "total": len(rows),
        "created_at": created,
        "accepted_at": created if accepted else None,
    }
    rejected = [
        {
            "batch_id": batch_id,
            "batch_row": number,
            "line": number + 1,
            "external_ref": _reference(number),
            "issues": [issue.model_dump() for issue in ISSUES],
            "created_at": created,
        }
        for number, status in enumerate(rows, 1)
        if status is R.REJECTED
    ]
    accepted_rows = [
        _task(tenant, batch_id, number, status, created, ended)
        for number, status in enumerate(rows, 1)
        if status is not R.REJECTED
    ]
    with database.write() as connection:
        connection.execute(insert(connect_batches), batch)
        for table, values in ((connect_batch_rejections, rejected), (connect_tasks, accepted_rows)):
            if values:
                connection.execute(insert(table), values)
    return batch_id


def _task(
    tenant: Tenant, batch_id: str, number: int, status: RowStatus, created: datetime, ended: datetime
) -> dict[str, Any]:
    is_open, outcome = status in UNFINISHED_ROWS, outcome_of(status, number)
    return {
        "id": f"ct_{batch_id}_{number}",
        "workspace_id": tenant.workspace_id,
        "profile_id": tenant.profile_ids[0],
        "platform": "bluesky",
        "queue": "connect.bulk",
        "status": _TASK_STATUS[status],
        "request_id": "req_1",
        "sealed_credentials": b"key1.sealed" if is_open else None,
        "sealing_key": "key1" if is_open else None,
        "fingerprint": f"{batch_id}{number}".encode()[-32:] if is_open else b"",
        "attempts": 0 if status is R.QUEUED else 1,
        "max_attempts": 12,
        "fence": 1,
        "available_at": created,
        "sweep_at": created + timedelta(days=1),
        "sweeps": 0,
        "expires_at": created + timedelta(days=1),
        "created_at": created,
        "finished_at": None if is_open else ended,
        "outcome": outcome.to_row(),
        "cause": outcome.cause if not is_open else None,
        "batch_id": batch_id,
        "batch_row": number,
        "external_ref": _reference(number),
        "dispatch_at": created if status in {R.QUEUED, R.RETRYING} else None,
        "lane": "",
    }


def _reference(number: int) -> str:
    return f"ref-{number}"


def account(number: int) -> Account:
    return Account(
        id=f"sa_{number}",
        profile_id="pr_1",
        platform="bluesky",
        account_name=f"h{number}.test",
        status=AccountStatus.ACTIVE,
        connection_type=ConnectionType.BYO,
        connected_at=datetime(2026, 11, 23, tzinfo=UTC),
        external_account_id=f"did:plc:{number}",
    )


def outcome_of(status: RowStatus, number: int) -> Outcome:
    errors: dict[RowStatus, ErrorBody] = {
        R.RETRYING: UpstreamFailed().describe(),
        R.ALREADY_CONNECTED: AlreadyConnected(details={"account_id": f"sa_{number}"}).describe(),
        R.FAILED: CredentialsRejected().describe(),
        R.CANCELED: Canceled().describe(),
    }
    if status is R.EXPIRED:
        return Outcome.of_expiry(attempts=1, max_attempts=12)
    return Outcome(account=account(number) if status is R.CONNECTED else None, error=errors.get(status))


def end_row(database: Database, batch_id: str, number: int, status: RowStatus = R.CONNECTED) -> None:
    """Claims the row and ends it, as a worker does."""
    outcome = outcome_of(status, number)
    with database.write() as connection:
        (task,) = attempts.claim_tasks(connection, [f"ct_{batch_id}_{number}"], lease=30, sweep_in=31)
        assert task is not None
        assert attempts.finish_task(
            connection,
            task.id,
            fence=task.fence,
            status=_TASK_STATUS[status],
            outcome=outcome.to_row(),
            cause=outcome.cause,
        )


def stored_row(database: Database, batch_id: str, number: int) -> dict[str, Any]:
    query = select(connect_tasks).where(connect_tasks.c.id == f"ct_{batch_id}_{number}")
    with database.read() as connection:
        return dict(connection.execute(query).one()._mapping)
