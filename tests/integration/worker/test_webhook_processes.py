"""Deliveries by the worker that the product starts: killed in the middle, and what log and Redis know of a secret."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest
from celery import Celery
from sqlalchemy import func, select, update

from connections.events import Event, EventType
from connections.messages import DELIVER_EVENTS, Queue
from connections.models import webhook_deliveries
from connections.repository import outbox
from connections.settings import Settings
from connections.sqltime import from_now
from connections.webhooks.contract import Webhook
from connections.webhooks.service import Webhooks
from tests.factories import Shown
from tests.integration.worker.stack import Stack
from tests.receiver import Answer, Got, Receiver, running_receiver
from tests.servers import wait_until

SUBJECTS, EVENTS = 10, 100


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


def webhook(stack: Stack, receiver: Receiver) -> Webhook:
    api = Webhooks(stack.database, stack.sealer, Settings(dev_pds_url="http://127.0.0.1:1"))
    body = {"name": "hook", "url": receiver.url, "events": ["*"]}
    return api.create(stack.tenant.caller, orjson.dumps(body), request_id="req_1")


def emit(stack: Stack) -> None:
    with stack.database.write() as connection:
        for number in range(EVENTS):
            subject = f"sa_{number % SUBJECTS}"
            data = {"id": subject, "number": number}
            outbox.emit(
                connection, [Event(stack.tenant.workspace_id, EventType.ACCOUNT_CONNECTED, subject, Shown(**data))]
            )


def pending(stack: Stack) -> int:
    query = select(func.count()).where(webhook_deliveries.c.status == "pending")
    with stack.database.read() as connection:
        return connection.execute(query).scalar_one()


@contextmanager
def ticks(stack: Stack) -> Iterator[Celery]:
    with Celery(broker=stack.broker_url, set_as_current=False) as producer:
        yield producer


def tick(producer: Celery) -> None:
    """What beat sends every second."""
    producer.send_task(DELIVER_EVENTS, queue=Queue.UPKEEP.value)


@pytest.mark.parametrize("stack", ["sqlite", "postgres"], indirect=True)
def test_a_worker_that_is_killed_in_the_middle_loses_nothing_and_no_order(stack: Stack, receiver: Receiver) -> None:
    def dawdle(_got: Got) -> Answer:
        time.sleep(0.02)  # as long as an answer takes elsewhere
        return 200

    receiver.answer = dawdle
    hook = webhook(stack, receiver)
    emit(stack)
    with ticks(stack) as producer:
        with stack.worker() as worker:
            tick(producer)
            tick(producer)
            wait_until(lambda: len(receiver.got) >= EVENTS // 3, what="some to arrive")
            worker.kill()
            worker.wait()
        assert 0 < pending(stack) < EVENTS
        with stack.database.write() as connection:  # the leases of the dead are over
            connection.execute(
                update(webhook_deliveries).where(webhook_deliveries.c.due_at.is_not(None)).values(due_at=from_now(-1))
            )
        with stack.worker():

            def is_done() -> bool:
                tick(producer)
                time.sleep(0.1)
                return pending(stack) == 0

            wait_until(is_done, what="the rest")

    arrived = defaultdict(list)
    deliveries: dict[str, str] = {}
    for got in receiver.got:
        arrived[got.subject].append(got.event["data"]["number"])
        # What comes twice can be told by its ids.
        assert (
            deliveries.setdefault(got.event["id"], got.headers["x-unipost-delivery"])
            == got.headers["x-unipost-delivery"]
        )
    assert len(deliveries) == EVENTS
    for subject, numbers in arrived.items():
        assert numbers == sorted(numbers)
        assert sorted(set(numbers)) == list(range(int(subject[3:]), EVENTS, SUBJECTS))
    assert Counter(got.event["id"] for got in receiver.got).most_common(1)[0][1] <= 2
    assert hook.secret is not None
    assert all(got.is_signed_with(hook.secret) for got in receiver.got)


def test_neither_log_nor_redis_learns_a_secret(stack: Stack, receiver: Receiver) -> None:
    hook = webhook(stack, receiver)
    receiver.answer = lambda _got: 500
    emit(stack)
    with ticks(stack) as producer, stack.worker():
        tick(producer)
        wait_until(lambda: len(receiver.got) >= 3, what="attempts")
        wait_until(lambda: "webhook_paused" in stack.log.read_text(), what="a pause")
        with stack.valkey.client() as client:
            kept = b"".join(client.dump(key) or b"" for key in client.scan_iter())
    assert hook.secret is not None
    for place in (kept, stack.log.read_bytes()):
        assert hook.secret.encode() not in place
        assert hook.secret.removeprefix("whsec_").encode() not in place
        assert b"x-unipost-signature" not in place
