"""Tables as they are after some months: tens of thousands of rows, most of them long done with."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from connections.contract import TaskStatus
from connections.models import (
    accounts,
    api_keys,
    connect_batch_rejections,
    connect_batches,
    connect_tasks,
    idempotency_keys,
    profiles,
    workspaces,
)

DAY = timedelta(days=1)
BATCH = "cb_1"


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows there are to be; `open_tasks` of the tasks have not ended.

    Half of those and some that ended make up the one batch with rows, of `batch_tasks` tasks and as many rejections.
    """

    workspaces: int = 10
    profiles: int = 20_000
    api_keys: int = 9_000
    accounts: int = 20_000
    tasks: int = 30_000
    open_tasks: int = 3_000
    idempotency_keys: int = 50_000
    batches: int = 2_000
    batch_tasks: int = 8_000

    def is_in_batch(self, task: int) -> bool:
        return self.open_tasks // 2 <= task < self.open_tasks // 2 + self.batch_tasks


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def workspace(number: int, size: Size) -> str:
    return f"ws_{number % size.workspaces}"


def task_values(number: int, size: Size, now: datetime) -> dict[str, Any]:
    """Task `number`: the first `open_tasks` are open, the others ended one by one during the last 60 days."""
    is_open = number < size.open_tasks
    created = now - (timedelta(minutes=5) if is_open else 60 * DAY * number / size.tasks)
    status = (TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.RETRYING)[number % 3]
    return {
        "id": f"ct_{number}",
        "workspace_id": workspace(number, size),
        "profile_id": f"pr_{number % size.profiles}",
        "platform": "bluesky",
        "queue": "connect",
        "status": status if is_open else TaskStatus.SUCCEEDED,
        "request_id": f"req_{number}",
        "sealed_credentials": b"key1.sealed" if is_open else None,
        "sealing_key": "key1" if is_open else None,
        "fingerprint": digest(number) if is_open else b"",
        "reply_to": None,
        "attempts": 1,
        "max_attempts": 5,
        "fence": 1,
        "available_at": created,
        # Of the open ones a tenth is due.
        "sweep_at": created if number % 10 == 0 or not is_open else now + DAY,
        "sweeps": 0,
        "expires_at": now + DAY if is_open else created,
        "created_at": created,
        "finished_at": None if is_open else created,
        "outcome": {"account": {"id": f"sa_{number}", "account_name": "alice.test", "host": "https://pds.test"}},
        "batch_id": BATCH if size.is_in_batch(number) else None,
        "batch_row": number if size.is_in_batch(number) else None,
        "dispatch_at": created if size.is_in_batch(number) and status is not TaskStatus.RUNNING and is_open else None,
    }


def fill(connection: Connection, size: Size = Size()) -> None:
    now = datetime.now(UTC)
    tables: dict[Any, list[dict[str, Any]]] = {
        workspaces: [{"id": f"ws_{n}", "name": f"Acme {n}", "created_at": now} for n in range(size.workspaces)],
        profiles: [
            {"id": f"pr_{n}", "workspace_id": workspace(n, size), "name": "Default", "created_at": now}
            for n in range(size.profiles)
        ],
        api_keys: [
            {
                "id": f"key_{n}",
                "workspace_id": workspace(n, size),
                "name": "key",
                "prefix": f"up_test_{n}",
                "secret_hash": digest(n),
                "created_at": now,
            }
            for n in range(size.api_keys)
        ],
        accounts: [
            {
                "id": f"sa_{n}",
                "workspace_id": workspace(n, size),
                "profile_id": f"pr_{n % size.profiles}",
                "platform": "bluesky",
                "external_id": f"did:plc:{n}",
                "account_name": f"h{n}.test",
                "host": "https://pds.test",
                "status": "disconnected" if n % 10 == 0 else "active",
                "connection_type": "byo",
                "access_token": b"key1.access",
                "refresh_token": b"key1.refresh",
                "token_key": "key1",
                "connected_at": now,
            }
            for n in range(size.accounts)
        ],
        connect_tasks: [task_values(n, size, now) for n in range(size.tasks)],
        connect_batches: [
            {
                "id": f"cb_{n}",
                "workspace_id": workspace(n, size),
                "platform": "bluesky",
                "request_id": "req_1",
                "total": 2 * size.batch_tasks,
                "created_at": now,
                "accepted_at": now,
                "finished_at": None if n == 1 else now,
            }
            for n in range(size.batches)
        ],
        connect_batch_rejections: [
            {
                "batch_id": BATCH,
                "batch_row": size.tasks + n,
                "line": size.tasks + n + 1,
                "issues": [{"field": "handle", "code": ("required", "invalid_handle")[n % 2], "message": "No."}],
                "created_at": now,
            }
            for n in range(size.batch_tasks)
        ],
        idempotency_keys: [
            {
                "workspace_id": workspace(n, size),
                "endpoint": "connect",
                "key_hash": digest(n),
                "fingerprint": digest(n),
                "resource_id": f"ct_{n % size.tasks}",
                "request_id": f"req_{n}",
                # Of the keys that are kept a tenth is over.
                "expires_at": now + DAY * (0.9 - n / size.idempotency_keys),
            }
            for n in range(size.idempotency_keys)
        ],
    }
    for table, rows in tables.items():
        if rows:
            connection.execute(insert(table), rows)
