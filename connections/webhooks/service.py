"""What the API does with webhooks: keep them, tell how their deliveries stand, replay some. Blocking; call it from a
thread."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from connections.audit import Action, AuditEntry
from connections.contract import Issue
from connections.db import Database
from connections.errors import NotFound
from connections.ids import new_id
from connections.intake import is_id, refused
from connections.repository import audit, deliveries, webhooks
from connections.repository.deliveries import DeliveryRow
from connections.repository.webhooks import SealedSecret, WebhookRow
from connections.service import Caller
from connections.settings import Settings
from connections.vault import Sealer
from connections.webhooks.contract import DeliveryStatus, Replay, Webhook, WebhookDelivery
from connections.webhooks.intake import parse_change, parse_new
from connections.webhooks.replaying import replay_dead, replay_entry, replay_one
from connections.webhooks.secrets import SECRET, new_secret, preview, sealed_for

MAX_WEBHOOKS = 20
"""Of one workspace: each makes a row of every event."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Deliveries, the latest first; `next_before` is where the next page begins, None on the last one."""

    deliveries: list[WebhookDelivery]
    next_before: int | None


class Webhooks:
    """One per API process, used by its threads.

    What takes a `webhook_id` raises `NotFound` for one that is not the caller's. `request_id` is the one to be found in
    the audit log.
    """

    def __init__(self, database: Database, sealer: Sealer, settings: Settings) -> None:
        self._database = database
        self._sealer = sealer
        self._allows_loopback = bool(settings.dev_pds_url)

    def create(self, caller: Caller, body: bytes, *, request_id: str) -> Webhook:
        """The only time, but for `rotate`, that its secret is told. Raises `ValidationFailed`."""
        new = parse_new(body, allows_loopback=self._allows_loopback)
        webhook_id, secret = new_id("wh"), new.secret or new_secret()
        sealed = self._seal(caller, webhook_id, secret)
        with self._database.write() as connection:
            if webhooks.count_webhooks(connection, caller.workspace_id) >= MAX_WEBHOOKS:
                message = f"A workspace has at most {MAX_WEBHOOKS} webhooks. Delete one that is not needed."
                raise refused([Issue(field="body", code="too_many", message=message)])
            row = webhooks.insert_webhook(
                connection,
                webhook_id=webhook_id,
                workspace_id=caller.workspace_id,
                name=new.name,
                url=new.url,
                events=list(new.events),
                active=new.active,
                secret=sealed,
            )
            _record(connection, caller, Action.WEBHOOK_CREATE, webhook_id, request_id)
        return _webhook(row, secret)

    def all(self, caller: Caller) -> list[Webhook]:
        with self._database.read() as connection:
            return [_webhook(row) for row in webhooks.webhooks_of(connection, caller.workspace_id)]

    def get(self, caller: Caller, webhook_id: str) -> Webhook:
        with self._database.read() as connection:
            return _webhook(_found(connection, caller, webhook_id))

    def update(self, caller: Caller, webhook_id: str, body: bytes, *, request_id: str) -> Webhook:
        """Changes what was sent. Raises `ValidationFailed`."""
        values = parse_change(body, allows_loopback=self._allows_loopback)
        if not values:
            return self.get(caller, webhook_id)
        if "events" in values:
            values["events"] = list(values["events"])
        return _webhook(self._update(caller, webhook_id, values, Action.WEBHOOK_UPDATE, request_id=request_id))

    def rotate(self, caller: Caller, webhook_id: str, *, request_id: str) -> Webhook:
        """Another secret, which signs whatever is sent from now on."""
        secret = new_secret()
        columns = self._seal(caller, webhook_id, secret).columns()
        row = self._update(caller, webhook_id, columns, Action.WEBHOOK_ROTATE, request_id=request_id)
        return _webhook(row, secret)

    def delete(self, caller: Caller, webhook_id: str, *, request_id: str) -> None:
        """With what was not delivered yet."""
        with self._database.write() as connection:
            if not is_id(webhook_id) or not webhooks.delete_webhook(connection, caller.workspace_id, webhook_id):
                raise _no_such_webhook()
            _record(connection, caller, Action.WEBHOOK_DELETE, webhook_id, request_id)

    def deliveries(
        self, caller: Caller, webhook_id: str, *, before: int | None, limit: int, status: DeliveryStatus | None
    ) -> DeliveryPage:
        """At most `limit` that are older than number `before`."""
        with self._database.read() as connection:
            _found(connection, caller, webhook_id)
            rows = deliveries.deliveries_of(connection, webhook_id, before=before, limit=limit + 1, status=status)
        page = rows[:limit]
        return DeliveryPage([delivery(row) for row in page], page[-1].number if len(rows) > limit else None)

    def replay(self, caller: Caller, webhook_id: str, delivery_id: str, *, request_id: str) -> WebhookDelivery:
        """Sends an ended delivery again, as the same event; one that waits stays as it is. Raises `NotFound`."""
        entry = replay_entry(caller.workspace_id, webhook_id, actor=caller.key_id, request_id=request_id)
        with self._database.write() as connection:
            _found(connection, caller, webhook_id)
            return delivery(replay_one(connection, webhook_id, delivery_id, entry))

    def replay_dead(self, caller: Caller, webhook_id: str, *, request_id: str) -> Replay:
        """Sends dead deliveries again, the oldest first: all, or as many as one request may."""
        entry = replay_entry(caller.workspace_id, webhook_id, actor=caller.key_id, request_id=request_id)
        self.get(caller, webhook_id)
        return replay_dead(self._database, webhook_id, entry)

    def _seal(self, caller: Caller, webhook_id: str, secret: str) -> SealedSecret:
        sealed = self._sealer.seal({SECRET: secret}, sealed_for(webhook_id, caller.workspace_id))
        return SealedSecret(sealed, preview(secret))

    def _update(
        self, caller: Caller, webhook_id: str, values: Mapping[str, object], action: Action, *, request_id: str
    ) -> WebhookRow:
        with self._database.write() as connection:
            row = None
            if is_id(webhook_id):
                row = webhooks.update_webhook(connection, caller.workspace_id, webhook_id, values)
            if row is None:
                raise _no_such_webhook()
            _record(connection, caller, action, webhook_id, request_id)
        return row


def delivery(row: DeliveryRow) -> WebhookDelivery:
    """The row as the wire tells it."""
    return WebhookDelivery(
        id=row.id,
        event=row.event,
        event_id=row.event_id,
        subject=row.subject,
        status=row.status,
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.due_at,
        finished_at=row.finished_at,
        last_status=row.last_status,
        last_error=row.last_error,
    )


def _webhook(row: WebhookRow, secret: str | None = None) -> Webhook:
    return Webhook(
        id=row.id,
        name=row.name,
        url=row.url,
        events=row.events,
        active=row.active,
        secret=secret,
        secret_preview=row.secret_preview,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _found(connection: Connection, caller: Caller, webhook_id: str) -> WebhookRow:
    row = webhooks.webhook_of(connection, caller.workspace_id, webhook_id) if is_id(webhook_id) else None
    if row is None:
        raise _no_such_webhook()
    return row


def _record(connection: Connection, caller: Caller, action: Action, webhook_id: str, request_id: str) -> None:
    entry = AuditEntry(caller.workspace_id, caller.key_id, action, target=webhook_id, request_id=request_id)
    audit.record(connection, [entry])


def _no_such_webhook() -> NotFound:
    return NotFound("There is no such webhook.")
