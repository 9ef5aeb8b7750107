"""Webhooks as their workspace sees them, and how their receivers are doing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, null, select, update

from connections.models import webhooks, workspaces
from connections.sqltime import from_now
from connections.vault import key_id_of


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook without its secret."""

    id: str
    workspace_id: str
    name: str
    url: str
    events: list[str]
    active: bool
    secret_preview: str
    created_at: datetime
    updated_at: datetime
    paused_until: datetime | None
    failures: int


_WEBHOOK = (
    webhooks.c.id,
    webhooks.c.workspace_id,
    webhooks.c.name,
    webhooks.c.url,
    webhooks.c.events,
    webhooks.c.active,
    webhooks.c.secret_preview,
    webhooks.c.created_at,
    webhooks.c.updated_at,
    webhooks.c.paused_until,
    webhooks.c.failures,
)


def _webhook(row: Row[*tuple[Any, ...]]) -> WebhookRow:
    return WebhookRow(**row._mapping)


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A webhook's secret as it is stored, and the end of it that may be shown."""

    sealed: bytes = field(repr=False)
    preview: str

    def columns(self) -> dict[str, Any]:
        return {
            "sealed_secret": self.sealed,
            "sealing_key": key_id_of(self.sealed),
            "secret_preview": self.preview,
        }


def count_webhooks(connection: Connection, workspace_id: str) -> int:
    """How many the workspace has. Until the transaction ends nobody else counts them, so that two who add one do not
    both add the last."""
    workspace = select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update(key_share=True)
    connection.execute(workspace)
    webhook = webhooks.c
    query = select(func.count()).where(webhook.workspace_id == workspace_id, webhook.deleted_at.is_(None))
    return connection.execute(query).scalar_one()


def insert_webhook(
    connection: Connection,
    *,
    webhook_id: str,
    workspace_id: str,
    name: str,
    url: str,
    events: list[str],
    active: bool,
    secret: SealedSecret,
) -> WebhookRow:
    values = {"id": webhook_id, "workspace_id": workspace_id, "name": name, "url": url, "events": events}
    change = (
        insert(webhooks)
        .values(**values, **secret.columns(), active=active, created_at=from_now(), updated_at=from_now())
        .returning(*_WEBHOOK)
    )
    return _webhook(connection.execute(change).one())


def webhooks_of(connection: Connection, workspace_id: str) -> list[WebhookRow]:
    """In the order in which they were made, as ids are."""
    webhook = webhooks.c
    query = (
        select(*_WEBHOOK).where(webhook.workspace_id == workspace_id, webhook.deleted_at.is_(None)).order_by(webhook.id)
    )
    return [_webhook(row) for row in connection.execute(query)]


def webhook_of(connection: Connection, workspace_id: str, webhook_id: str) -> WebhookRow | None:
    row = connection.execute(select(*_WEBHOOK).where(*_is(workspace_id, webhook_id))).first()
    return None if row is None else _webhook(row)


def find_webhook(connection: Connection, webhook_id: str) -> WebhookRow | None:
    """Of any workspace, for who runs the service."""
    query = select(*_WEBHOOK).where(webhooks.c.id == webhook_id, webhooks.c.deleted_at.is_(None))
    row = connection.execute(query).first()
    return None if row is None else _webhook(row)


def update_webhook(
    connection: Connection, workspace_id: str, webhook_id: str, values: Mapping[str, Any]
) -> WebhookRow | None:
    """None when there is no such webhook. At another address nothing is known to fail."""
    opened = {"paused_until": null(), "failures": 0} if "url" in values else {}
    change = (
        update(webhooks)
        .where(*_is(workspace_id, webhook_id))
        .values(**values, **opened, updated_at=from_now())
        .returning(*_WEBHOOK)
    )
    row = connection.execute(change).first()
    return None if row is None else _webhook(row)


def delete_webhook(connection: Connection, workspace_id: str, webhook_id: str) -> bool:
    """Erases its secret. What is left of it goes in time. False when there is no such webhook."""
    erased = {"sealed_secret": b"", "sealing_key": "", "secret_preview": ""}
    change = update(webhooks).where(*_is(workspace_id, webhook_id)).values(**erased, deleted_at=from_now())
    return connection.execute(change).rowcount == 1


def note_answer(connection: Connection, webhook_id: str) -> None:
    """Its receiver is well."""
    change = (
        update(webhooks)
        .where(webhooks.c.id == webhook_id, (webhooks.c.failures > 0) | webhooks.c.paused_until.is_not(None))
        .values(failures=0, paused_until=null())
    )
    connection.execute(change)


def note_failure(connection: Connection, webhook_id: str) -> int:
    """Its receiver has failed once more: how often in a row."""
    change = (
        update(webhooks)
        .where(webhooks.c.id == webhook_id)
        .values(failures=webhooks.c.failures + 1)
        .returning(webhooks.c.failures)
    )
    return connection.execute(change).scalar() or 0


def pause_webhook(connection: Connection, webhook_id: str, *, seconds: float) -> None:
    """Nothing is sent for so long."""
    change = update(webhooks).where(webhooks.c.id == webhook_id).values(paused_until=from_now(seconds))
    connection.execute(change)


def take_probe(connection: Connection, webhook_id: str, *, lease: float) -> bool:
    """Whether the pause is over and nobody else tries: for `lease` seconds nobody else will."""
    change = (
        update(webhooks)
        .where(webhooks.c.id == webhook_id, webhooks.c.paused_until <= from_now())
        .values(paused_until=from_now(lease))
    )
    return connection.execute(change).rowcount == 1


def end_pause(connection: Connection, webhook_id: str) -> None:
    """A receiver that was failing is tried again now, with one delivery first."""
    change = (
        update(webhooks)
        .where(webhooks.c.id == webhook_id, webhooks.c.paused_until > from_now())
        .values(paused_until=from_now())
    )
    connection.execute(change)


def _is(workspace_id: str, webhook_id: str) -> tuple[Any, ...]:
    webhook = webhooks.c
    return webhook.id == webhook_id, webhook.workspace_id == workspace_id, webhook.deleted_at.is_(None)
