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
    audit_log,
    connect_batch_rejections,
    connect_batches,
    connect_sessions,
    connect_tasks,
    idempotency_keys,
    profiles,
    retired_sessions,
    session_requests,
    webhook_deliveries,
    webhooks,
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
    retired_sessions: int = 20_000
    connect_sessions: int = 5_000
    session_requests: int = 20_000
    webhooks: int = 2_000
    deliveries: int = 20_000
    audit_entries: int = 20_000

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
            {"id": f"pr_{n}", "workspace_id": workspace(n, size), "name": f"Brand {n}", "created_at": now}
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
                # A hundredth is due.
                "refresh_at": now + DAY * (n / size.accounts - 0.01),
                "external_user_id": f"user_{n}" if n % 5 == 0 else None,
            }
            for n in range(size.accounts)
        ],
        retired_sessions: [
            {
                "id": f"rs_{n}",
                "account_id": f"sa_{n}",
                "platform": "bluesky",
                "host": "https://pds.test",
                # As long as they are: where rows are few and short, Postgres had rather read them all.
                "refresh_token": b"key1.refresh".ljust(400),
                "token_key": "key1",
                "retired_at": now,
                "expires_at": now + DAY * (0.9 - n / size.retired_sessions),
                "end_at": now if n % 20 == 0 else None,
            }
            for n in range(min(size.retired_sessions, size.accounts))
        ],
        connect_sessions: [
            {
                "id": f"cs_{n}",
                "workspace_id": workspace(n, size),
                "profile_id": f"pr_{n % size.profiles}",
                "platform": "bluesky",
                "key_id": f"key_{n}",
                "token_hash": digest(n),
                "external_user_id": f"user_{n}",
                "allow_quickstart_creds": False,
                "created_at": now,
                "expires_at": now + DAY * (0.9 - n / size.connect_sessions),
            }
            for n in range(size.connect_sessions)
        ],
        session_requests: [
            {
                "id": f"sq_{n}",
                "workspace_id": workspace(n, size),
                "account_id": f"sa_{n}",
                "key_id": f"key_{n}",
                "request_id": f"req_{n}",
                "public_key": digest(n),
                "least_seconds": 300,
                "reply_to": "shim_1",
                "created_at": now,
                "expires_at": now + DAY * (0.9 - n / size.session_requests),
                "available_at": now,
                "finished_at": None if n % 100 == 0 else now,
                "sealed_session": None if n % 100 == 0 else bytes(700),  # as long as a sealed token is
            }
            for n in range(size.session_requests)
        ],
        webhooks: [
            {
                "id": f"wh_{n}",
                "workspace_id": workspace(n, size) if n < size.workspaces else f"ws_{size.workspaces - 1}",
                "name": "hook",
                "url": "https://receiver.test/hook",
                "events": ["account.connected"],
                "active": True,
                "sealed_secret": b"key1.sealed",
                "sealing_key": "key1",
                "secret_preview": "whsec_…1234",
                "created_at": now,
                "updated_at": now,
            }
            for n in range(size.webhooks)
        ],
        webhook_deliveries: [
            {
                "id": f"wd_{n}",
                "webhook_id": f"wh_{n % size.webhooks}",
                "workspace_id": workspace(n, size),
                "event_id": f"evt_{n}",
                "event": "account.connected",
                "subject": f"sa_{n}",
                # As long as an account is: where rows are short, Postgres had rather read them all.
                "data": {"id": f"sa_{n}", "avatar_url": "https://cdn.test/".ljust(400, "a")},
                "created_at": now,
                # Most were delivered during the last 60 days; of the others half are due.
                "status": "pending" if n % 20 == 0 else "dead" if n % 20 == 1 else "delivered",
                "due_at": (now if n % 40 == 0 else now + DAY) if n % 20 == 0 else None,
                "expires_at": now + DAY,
                "finished_at": None if n % 20 == 0 else now - 60 * DAY * n / size.deliveries,
            }
            for n in range(size.deliveries)
        ],
        audit_log: [
            {
                "id": f"al_{n:06}",
                "workspace_id": workspace(n, size),
                "at": now - 60 * DAY * n / size.audit_entries,
                "actor": f"key_{n % max(1, size.api_keys)}",
                "action": "account.connect",
                "account_id": f"sa_{n}",
                "outcome": "failed" if n % 50 == 1 else "succeeded",
            }
            for n in range(size.audit_entries)
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
