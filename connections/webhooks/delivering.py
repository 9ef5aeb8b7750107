"""What a worker does to deliveries: look which webhooks wait, take some for one, settle what became of each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from connections.db import Database
from connections.repository import deliveries, webhooks
from connections.repository.deliveries import Attempt, ClaimedDelivery, WaitingWebhook
from connections.vault import Opener, UnreadableSecret
from connections.webhooks.contract import DeliveryStatus
from connections.webhooks.patience import next_delay, pause
from connections.webhooks.secrets import SECRET, sealed_for

# More webhooks than these are looked at by the next run.
_STEPS = 50
_ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries of one webhook, each about another subject, and how to send them.

    Without a `secret` they cannot be: its key is not here.
    """

    webhook_id: str
    url: str
    secret: str | None = field(repr=False)
    deliveries: tuple[ClaimedDelivery, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a delivery was not taken. `error` is a word of ours, `status` what the receiver answered, if it did.

    `is_of_receiver`: others would fare no better. `is_final`: it is not tried again. `asked_to_wait` is in seconds.
    """

    error: str
    status: int | None = None
    is_of_receiver: bool = False
    is_final: bool = False
    asked_to_wait: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """What became of a delivery that was not taken. Without a `status` somebody else had taken it over.

    `paused` is for how many seconds nothing is sent to its webhook.
    """

    status: DeliveryStatus | None
    paused: float


class Deliveries:
    """One per worker process, used by its threads. Every method is one transaction, or a few of the same kind."""

    def __init__(self, database: Database, opener: Opener, *, lease_seconds: float) -> None:
        """`lease_seconds` must be longer than it takes to send what was claimed."""
        self._database = database
        self._opener = opener
        self._lease = lease_seconds

    def waiting(self, after: str) -> tuple[list[WaitingWebhook], str | None]:
        """Webhooks behind `after` that something may be sent to, or that were deleted; and where to go on, if not at
        the end."""
        with self._database.read() as connection:
            found = deliveries.waiting_webhooks(connection, after=after, steps=_STEPS)
        last = found[-1].id if len(found) == _STEPS else None
        return [one for one in found if one.is_ready or one.is_deleted], last

    def claim(self, webhook_id: str, *, limit: int) -> Claim | None:
        """None when there is nothing to send, or nobody to send it to, just now."""
        with self._database.write() as connection:
            receiver = deliveries.receiver(connection, webhook_id)
            if receiver is None:
                return None
            # Whoever is the first after a pause finds out, with one delivery, whether it was long enough.
            if receiver.is_paused and not webhooks.take_probe(connection, webhook_id, lease=self._lease):
                return None
            claimed = deliveries.claim_deliveries(connection, webhook_id, limit=limit, lease=self._lease)
            if not claimed and receiver.is_paused:  # what there is waits for its own time
                webhooks.end_pause(connection, webhook_id)
        if not claimed:
            return None
        try:
            bound_to = sealed_for(webhook_id, receiver.workspace_id)
            secret = self._opener.open(receiver.sealed_secret, bound_to)[SECRET]
        except UnreadableSecret:
            secret = None
        return Claim(webhook_id, receiver.url, secret, tuple(claimed))

    def give_back(self, claimed: Sequence[ClaimedDelivery]) -> None:
        """What was not sent is due again."""
        with self._database.write() as connection:
            deliveries.give_back_deliveries(connection, [(one.id, one.fence) for one in claimed])

    def succeed(self, sent: ClaimedDelivery, *, status: int) -> bool:
        """Its receiver took it. False when somebody else has taken it over since: its receiver may get it twice."""
        with self._database.write() as connection:
            webhooks.note_answer(connection, sent.webhook_id)
            return deliveries.end_delivery(
                connection, Attempt(sent.id, sent.fence, status, None), DeliveryStatus.DELIVERED
            )

    def fail(self, sent: ClaimedDelivery, failure: Failure, *, jitter: float) -> Failed:
        """Plans the next attempt, if there is one before it expires, and pauses a webhook whose receiver keeps failing.

        `jitter` is between 0 and 1.
        """
        asked = failure.asked_to_wait
        delay = next_delay(sent.attempts + 1, jitter=jitter, asked=asked)
        attempt = Attempt(sent.id, sent.fence, failure.status, failure.error)
        with self._database.write() as connection:
            status: DeliveryStatus | None = None
            if not failure.is_final and deliveries.postpone_delivery(connection, attempt, delay=delay):
                status = DeliveryStatus.PENDING
            elif deliveries.end_delivery(connection, attempt, DeliveryStatus.DEAD):
                status = DeliveryStatus.DEAD
            if not failure.is_of_receiver:
                webhooks.note_answer(connection, sent.webhook_id)
                return Failed(status, 0.0)
            paused = pause(webhooks.note_failure(connection, sent.webhook_id), asked=asked)
            if paused:
                webhooks.pause_webhook(connection, sent.webhook_id, seconds=paused)
            return Failed(status, paused)

    def bury(self) -> Counter[str]:
        """Ends some of those whose time is over, and says how many of which webhook."""
        with self._database.write() as connection:
            numbers = deliveries.expired_deliveries(connection, limit=_ROWS_AT_ONCE)
            return Counter(deliveries.bury_deliveries(connection, numbers) if numbers else ())

    def drop(self, webhook_id: str) -> bool:
        """Deletes some of what a deleted webhook was to get. Whether there may be more."""
        with self._database.write() as connection:
            return deliveries.drop_deliveries(connection, webhook_id, limit=_ROWS_AT_ONCE) == _ROWS_AT_ONCE
