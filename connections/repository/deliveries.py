"""Deliveries to webhooks: what is due, claimed by workers and settled; read and replayed by whom they are for.

A row is to be delivered while it has a `due_at`. `number` is the order of the changes.
"""

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, func, literal, null, or_, select, update

from connections.models import webhook_deliveries, webhooks
from connections.repository.outbox import DELIVER_FOR_SECONDS
from connections.sqltime import from_now
from connections.webhooks.contract import DeliveryStatus

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WaitingWebhook:
    """A webhook that has deliveries to be sent. `is_ready`: some may be sent now; `is_deleted`: none ever will."""

    id: str
    is_deleted: bool
    is_ready: bool


def waiting_webhooks(connection: Connection, *, after: str, steps: int) -> list[WaitingWebhook]:
    """In the order of their ids, behind `after`. Fewer than `steps` are all there are.

    Steps from one webhook to the next in the index, however many deliveries each has.
    """
    rows = connection.execute(_waiting_webhooks(), {"after": after, "steps": steps})
    return [WaitingWebhook(row.id, bool(row.is_deleted), bool(row.is_ready)) for row in rows]


@cache
def _waiting_webhooks() -> Any:
    rows, webhook = webhook_deliveries.c, webhooks.c
    waits = rows.due_at.is_not(None)
    first = select(func.min(rows.webhook_id).label("id"), literal(1).label("step"))
    over = first.where(waits, rows.webhook_id > bindparam("after")).cte("over_webhooks", recursive=True)
    further = select(func.min(rows.webhook_id)).where(waits, rows.webhook_id > over.c.id)
    over = over.union_all(
        select(further.correlate(over).scalar_subquery(), over.c.step + 1).where(
            over.c.id.is_not(None), over.c.step < bindparam("steps")
        )
    )
    next_due = select(func.min(rows.due_at)).where(waits, rows.webhook_id == over.c.id).correlate(over)
    may_be_called = and_(webhook.active, or_(webhook.paused_until.is_(None), webhook.paused_until <= from_now()))

    def of_webhook(condition: ColumnElement[bool]) -> ColumnElement[bool]:
        # Not a join, for which Postgres would read all webhooks: it takes the steps for many.
        return select(condition).where(webhook.id == over.c.id).correlate(over).scalar_subquery()

    return select(
        over.c.id,
        of_webhook(webhook.deleted_at.is_not(None)).label("is_deleted"),
        and_(of_webhook(may_be_called), next_due.scalar_subquery() <= from_now()).label("is_ready"),
    ).where(over.c.id.is_not(None))


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a webhook's deliveries go. Its secret is sealed."""

    webhook_id: str
    workspace_id: str
    url: str
    sealed_secret: bytes = field(repr=False)
    is_paused: bool


def receiver(connection: Connection, webhook_id: str) -> Receiver | None:
    """None for a webhook that is deleted or not active. `is_paused`: it failed, and is to be tried with care."""
    webhook = webhooks.c
    query = select(
        webhook.id.label("webhook_id"),
        webhook.workspace_id,
        webhook.url,
        webhook.sealed_secret,
        webhook.paused_until.is_not(None).label("is_paused"),
    ).where(webhook.id == webhook_id, webhook.active, webhook.deleted_at.is_(None))
    row = connection.execute(query).first()
    return None if row is None else Receiver(**row._mapping)


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """What is to be sent. `data` is what callers see of the account or batch; it has no secret, and is theirs."""

    id: str
    webhook_id: str
    workspace_id: str
    event_id: str
    event: str
    subject: str
    data: dict[str, Any] = field(repr=False)
    created_at: datetime
    attempts: int
    fence: int


_CLAIMED = (
    webhook_deliveries.c.id,
    webhook_deliveries.c.webhook_id,
    webhook_deliveries.c.workspace_id,
    webhook_deliveries.c.event_id,
    webhook_deliveries.c.event,
    webhook_deliveries.c.subject,
    webhook_deliveries.c.data,
    webhook_deliveries.c.created_at,
    webhook_deliveries.c.attempts,
    webhook_deliveries.c.fence,
)


def claim_deliveries(connection: Connection, webhook_id: str, *, limit: int, lease: float) -> list[ClaimedDelivery]:
    """Takes what is due for longest, for `lease` seconds: of each subject only its oldest one, when nobody has it."""
    numbers = connection.execute(_due(), {"webhook": webhook_id, "most": limit}).scalars().all()
    if not numbers:
        return []
    rows = connection.execute(_claiming(), {"numbers": list(numbers), "lease": lease})
    claimed = [ClaimedDelivery(**row._mapping) for row in rows]
    return sorted(claimed, key=lambda one: one.created_at)


@cache
def _due() -> Any:
    rows, earlier = webhook_deliveries.c, webhook_deliveries.alias("earlier")
    is_later = (
        select(literal(1))
        .select_from(earlier)
        .where(
            earlier.c.webhook_id == rows.webhook_id,
            earlier.c.subject == rows.subject,
            earlier.c.number < rows.number,
            earlier.c.due_at.is_not(None),
        )
        .exists()
    )
    return (
        select(rows.number)
        .where(rows.webhook_id == bindparam("webhook"), rows.due_at <= from_now(), ~is_later)
        .order_by(rows.due_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True, of=webhook_deliveries)
    )


@cache
def _claiming() -> Any:
    rows = webhook_deliveries.c
    return (
        update(webhook_deliveries)
        .where(rows.number.in_(bindparam("numbers", expanding=True)))
        .values(due_at=from_now("lease"), fence=rows.fence + 1)
        .returning(*_CLAIMED)
    )


def give_back_deliveries(connection: Connection, claims: Collection[tuple[str, int]]) -> None:
    """Ids and fences of what was claimed and not sent: it is due, and before all that came later."""
    change = _held().values(due_at=webhook_deliveries.c.created_at)
    if claims:
        connection.execute(change, [{"delivery": delivery_id, "claim": fence} for delivery_id, fence in claims])


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a delivery went that was claimed with this fence: the status of an answer, and a word for what was wrong."""

    delivery_id: str
    fence: int
    status: int | None
    error: str | None

    def columns(self) -> dict[str, Any]:
        counted = webhook_deliveries.c.attempts + 1
        return {"attempts": counted, "last_status": self.status, "last_error": self.error}


def end_delivery(connection: Connection, attempt: Attempt, status: DeliveryStatus) -> bool:
    """That was the last attempt. False when the claim with its fence is no longer the last one."""
    change = _held().values(**attempt.columns(), status=status, due_at=null(), finished_at=from_now())
    held = {"delivery": attempt.delivery_id, "claim": attempt.fence}
    return connection.execute(change, held).rowcount == 1


def postpone_delivery(connection: Connection, attempt: Attempt, *, delay: float) -> bool:
    """It is due again in `delay` seconds.

    False, and nothing changed, when it expires before that, or the claim with this fence is no longer the last one.
    """
    is_in_time = webhook_deliveries.c.expires_at > from_now(delay)
    change = _held().where(is_in_time).values(**attempt.columns(), due_at=from_now(delay))
    held = {"delivery": attempt.delivery_id, "claim": attempt.fence}
    return connection.execute(change, held).rowcount == 1


def _held() -> Any:
    rows = webhook_deliveries.c
    return update(webhook_deliveries).where(
        rows.id == bindparam("delivery"), rows.fence == bindparam("claim"), rows.due_at.is_not(None)
    )


def expired_deliveries(connection: Connection, *, limit: int) -> list[int]:
    """Numbers of those whose time is over and that nobody sends just now, locked."""
    rows = webhook_deliveries.c
    query = (
        select(rows.number)
        .where(rows.due_at.is_not(None), rows.expires_at <= from_now(), rows.due_at <= from_now())
        .order_by(rows.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(query).scalars())


def bury_deliveries(connection: Connection, numbers: Sequence[int]) -> list[str]:
    """They are dead, of what failed last; `expired` if they were never sent. The ids of their webhooks, one each."""
    rows = webhook_deliveries.c
    change = (
        update(webhook_deliveries)
        .where(rows.number.in_(bindparam("numbers", expanding=True)))
        .values(
            status=DeliveryStatus.DEAD,
            due_at=null(),
            finished_at=from_now(),
            last_error=func.coalesce(rows.last_error, "expired"),
        )
        .returning(rows.webhook_id)
    )
    return list(connection.execute(change, {"numbers": list(numbers)}).scalars())


def drop_deliveries(connection: Connection, webhook_id: str, *, limit: int) -> int:
    """Deletes some of what was to be delivered to a webhook that was deleted, and says how many."""
    rows = webhook_deliveries.c
    some = (
        select(rows.number)
        .where(rows.webhook_id == webhook_id, rows.due_at.is_not(None))
        .order_by(rows.due_at)
        .limit(limit)
    )
    numbers = connection.execute(some).scalars().all()
    if numbers:
        change = delete(webhook_deliveries).where(rows.number.in_(bindparam("numbers", expanding=True)))
        connection.execute(change, {"numbers": list(numbers)})
    return len(numbers)


def oldest_pending(connection: Connection) -> float | None:
    """Seconds since the event whose time is over first, of those that are to be delivered; None when there is none."""
    rows = webhook_deliveries.c
    query = (
        select(rows.expires_at, from_now())
        # Any date: it begins the index, and so leads SQLite to it.
        .where(rows.due_at.is_not(None), rows.expires_at > _BEFORE_ALL)
        .order_by(rows.expires_at)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else max(0.0, DELIVER_FOR_SECONDS - float((row[0] - row[1]).total_seconds()))


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery as its readers see it."""

    number: int
    id: str
    event: str
    event_id: str
    subject: str
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    last_status: int | None
    last_error: str | None


_DELIVERY = (
    webhook_deliveries.c.number,
    webhook_deliveries.c.id,
    webhook_deliveries.c.event,
    webhook_deliveries.c.event_id,
    webhook_deliveries.c.subject,
    webhook_deliveries.c.status,
    webhook_deliveries.c.attempts,
    webhook_deliveries.c.created_at,
    webhook_deliveries.c.due_at,
    webhook_deliveries.c.finished_at,
    webhook_deliveries.c.last_status,
    webhook_deliveries.c.last_error,
)


def _delivery(row: Row[*tuple[Any, ...]]) -> DeliveryRow:
    return DeliveryRow(**{**row._mapping, "status": DeliveryStatus(row.status)})


def deliveries_of(
    connection: Connection, webhook_id: str, *, before: int | None, limit: int, status: DeliveryStatus | None
) -> list[DeliveryRow]:
    """The latest first, older than number `before`. Of all statuses unless one is named."""
    statuses = DeliveryStatus if status is None else [status]
    # One look at the index for each, because in it they are apart.
    found = [
        [_delivery(row) for row in connection.execute(_of_status(before is not None), values)]
        for values in (
            {"webhook": webhook_id, "has": one, "most": limit, **({} if before is None else {"before": before})}
            for one in statuses
        )
    ]
    return list(heapq.merge(*found, key=lambda row: row.number, reverse=True))[:limit]


@cache
def _of_status(is_further: bool) -> Any:
    rows = webhook_deliveries.c
    query = select(*_DELIVERY).where(rows.webhook_id == bindparam("webhook"), rows.status == bindparam("has"))
    if is_further:
        query = query.where(rows.number < bindparam("before"))
    return query.order_by(rows.number.desc()).limit(bindparam("most"))


def delivery_of(connection: Connection, webhook_id: str, delivery_id: str) -> DeliveryRow | None:
    rows = webhook_deliveries.c
    query = select(*_DELIVERY).where(rows.id == delivery_id, rows.webhook_id == webhook_id)
    row = connection.execute(query).first()
    return None if row is None else _delivery(row)


def dead_deliveries(connection: Connection, webhook_id: str, *, limit: int) -> list[int]:
    """Numbers of the oldest."""
    rows = webhook_deliveries.c
    query = (
        select(rows.number)
        .where(rows.webhook_id == webhook_id, rows.status == DeliveryStatus.DEAD)
        .order_by(rows.number)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def replay_deliveries(connection: Connection, numbers: Sequence[int]) -> None:
    """Those that have ended are due again, as the same events, for as long as new ones would be."""
    rows = webhook_deliveries.c
    change = (
        update(webhook_deliveries)
        .where(rows.number.in_(bindparam("numbers", expanding=True)), rows.due_at.is_(None))
        .values(
            status=DeliveryStatus.PENDING,
            attempts=0,
            due_at=from_now(),
            expires_at=from_now(DELIVER_FOR_SECONDS),
            finished_at=null(),
        )
    )
    connection.execute(change, {"numbers": list(numbers)})
