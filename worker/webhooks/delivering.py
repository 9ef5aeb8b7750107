"""A run: some seconds of deliveries, which beat asks for every second. Safe to run in many workers at once.

Receivers are strangers' servers and may take seconds to answer, so they are served in threads of their own: those of
Celery are for callers.
"""

import contextvars
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import structlog

from connections.repository.deliveries import ClaimedDelivery
from connections.webhooks.contract import DeliveryStatus
from connections.webhooks.delivering import Claim, Deliveries, Failure
from worker.metrics import WorkerMetrics
from worker.webhooks.sending import SEND_SECONDS, Send
from worker.webhooks.turns import Run, Turns

log = structlog.get_logger()

_RUN_SECONDS = 5.0
# Before it, for those whose time is over: there may be hundreds of thousands, and none of the others waits for them.
_BURY_SECONDS = 0.5
# Then another webhook has the thread, if one waits.
_TURN_SECONDS = 1.0

# Of this process, of one run, of one webhook.
_THREADS, _THREADS_PER_RUN, _THREADS_PER_WEBHOOK = 32, 8, 4
MOST_RUNS = 4

_CLAIMED_AT_ONCE = 10

DELIVERY_LEASE_SECONDS = 30.0
# What is left of it when something is sent for the last time.
_LAST_SECONDS = SEND_SECONDS + 10.0


class Deliverer:
    """One per worker process."""

    def __init__(
        self,
        deliveries: Deliveries,
        send: Send,
        *,
        is_stopping: Callable[[], bool],
        runs: int = MOST_RUNS,
        metrics: WorkerMetrics | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Once `is_stopping`, nothing further is sent. `runs` may go on at the same time, each in a Celery thread."""
        self._deliveries = deliveries
        self._send = send
        self._is_stopping = is_stopping
        self._metrics = metrics or WorkerMetrics()
        self._jitter = jitter
        self._runs = threading.BoundedSemaphore(runs)
        self._turns = Turns(deliveries.waiting, per_webhook=_THREADS_PER_WEBHOOK)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhooks")

    def deliver(self) -> None:
        """Sends for some seconds what may be sent; what is left is for the next run. Raises `ServiceUnavailable`.

        Returns at once when there are as many runs as there may be: receivers are slow, and callers need threads too.
        """
        if self._runs.acquire(blocking=False):
            try:
                self._deliver()
            finally:
                self._runs.release()

    def _deliver(self) -> None:
        buries_until = time.monotonic() + _BURY_SECONDS
        while self._bury() and self._may_go_on(buries_until):
            pass
        ends_at = time.monotonic() + _RUN_SECONDS
        run = self._turns.begin()
        threads = max(0, min(len(run.found), _THREADS_PER_RUN, _THREADS - self._turns.serving()))
        serve = partial(self._serve_some, run, ends_at)
        served = [self._threads.submit(contextvars.copy_context().run, serve) for _ in range(threads)]
        wait(served)
        for future in served:
            future.result()

    def close(self) -> None:
        self._threads.shutdown()

    def _bury(self) -> bool:
        buried = self._deliveries.bury()
        for webhook_id, count in buried.items():
            self._metrics.webhook_dead(count)
            log.warning("webhook_deliveries_dead", webhook_id=webhook_id, cause="expired", deliveries=count)
        return bool(buried)

    def _serve_some(self, run: Run, ends_at: float) -> None:
        """One thread's part of a run."""
        while self._may_go_on(ends_at) and (webhook := self._turns.next(run)) is not None:
            has_more = False
            try:
                if webhook.is_deleted:
                    has_more = self._deliveries.drop(webhook.id)
                else:
                    has_more = self._serve(webhook.id, until=min(time.monotonic() + _TURN_SECONDS, ends_at))
            finally:
                self._turns.done(run, webhook, has_more=has_more)

    def _serve(self, webhook_id: str, *, until: float) -> bool:
        """One turn of a webhook. Whether it should have another."""
        while (claim := self._deliveries.claim(webhook_id, limit=_CLAIMED_AT_ONCE)) is not None:
            if not self._send_all(claim, until):
                return False
            if not self._may_go_on(until):
                return True
        return False

    def _send_all(self, claim: Claim, until: float) -> bool:
        """False when its receiver is not to be asked any more just now. The first of them is sent however late it is:
        every turn gets on by one."""
        lease_ends_at = time.monotonic() + DELIVERY_LEASE_SECONDS - _LAST_SECONDS
        for number, delivery in enumerate(claim.deliveries):
            if number and not self._may_go_on(min(until, lease_ends_at)):
                self._deliveries.give_back(claim.deliveries[number:])
                return True
            if not self._attempt(claim, delivery):
                self._deliveries.give_back(claim.deliveries[number + 1 :])
                return False
        return True

    def _attempt(self, claim: Claim, delivery: ClaimedDelivery) -> bool:
        """Whether the receiver may be asked again."""
        result = self._send(claim, delivery)
        if isinstance(result, Failure):
            return self._note_failure(delivery, result)
        self._metrics.webhook_attempted("delivered")
        if not self._deliveries.succeed(delivery, status=result):
            log.warning("webhook_lease_lost", delivery_id=delivery.id, webhook_id=delivery.webhook_id)
        return True

    def _note_failure(self, delivery: ClaimedDelivery, failure: Failure) -> bool:
        self._metrics.webhook_attempted(failure.error)
        failed = self._deliveries.fail(delivery, failure, jitter=self._jitter())
        told = {
            "delivery_id": delivery.id,
            "webhook_id": delivery.webhook_id,
            "cause": failure.error,
            "status": failure.status,
            "attempts": delivery.attempts + 1,
        }
        if failed.status is DeliveryStatus.DEAD:
            self._metrics.webhook_dead(1)
            log.warning("webhook_delivery_dead", **told)
        else:
            log.info("webhook_delivery_failed", **told)
        if failed.paused:
            log.info("webhook_paused", webhook_id=delivery.webhook_id, seconds=round(failed.paused))
        return not failed.paused

    def _may_go_on(self, until: float) -> bool:
        return time.monotonic() < until and not self._is_stopping()
