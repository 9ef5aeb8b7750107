"""Whoever listens has word of a batch once all of its rows have ended, and only once."""

from typing import Any

import pytest
from sqlalchemy import insert, select

from connections.db import Database
from connections.dispatching import Dispatching
from connections.errors import CredentialsRejected
from connections.models import webhook_deliveries, webhooks
from connections.outcome import Outcome
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from tests.factories import Tenant, make_batch, make_tenant


@pytest.fixture
def tenant(database: Database) -> Tenant:
    tenant = make_tenant(database)
    hook = {
        "id": "wh_1",
        "workspace_id": tenant.workspace_id,
        "name": "hook",
        "url": "https://receiver.test",
        "events": ["batch.finished"],
        "active": True,
        "sealed_secret": b"key1.x",
        "sealing_key": "key1",
        "secret_preview": "whsec_",
        "created_at": from_now(),
        "updated_at": from_now(),
    }
    with database.write() as connection:
        connection.execute(insert(webhooks).values(hook))
    return tenant


def deliveries(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(webhook_deliveries)))


def test_the_end_of_a_batch_is_told_once(database: Database, tenant: Tenant, worker_keys: WorkerKeys) -> None:
    batch = make_batch(database, tenant, ["alice.test", "bob.test"], Sealer(worker_keys.for_shim()))
    settlement = Settlement(database, Opener(worker_keys), TokenCipher(worker_keys), lease_seconds=30)
    dispatching = Dispatching(database)
    [open_batch] = dispatching.look().batches

    for task_id in batch.task_ids:
        assert not dispatching.finish(open_batch)
        assert deliveries(database) == []
        task = settlement.claim(task_id)
        assert task is not None
        settlement.fail(task, Outcome.of_error(CredentialsRejected().describe()))

    assert dispatching.finish(open_batch)
    assert not dispatching.finish(open_batch)
    [told] = deliveries(database)
    assert (told.event, told.subject, told.status) == ("batch.finished", batch.id, "pending")
    assert (told.data["id"], told.data["status"], told.data["counts"]["failed"]) == (batch.id, "finished", 2)
