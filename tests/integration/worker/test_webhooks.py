"""Deliveries to a real receiver on loopback, on both databases: at least once, and of each account in order.

Nobody waits for a date: those in the table are put into the past instead.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from connections.contract import Account
from connections.db import Database
from connections.events import Event, EventType
from connections.models import webhook_deliveries, webhooks
from connections.repository import deliveries, outbox
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import Opener, Sealer, WorkerKeys
from connections.webhooks.contract import DeliveryStatus, Webhook
from connections.webhooks.delivering import Claim, Deliveries, Failure
from connections.webhooks.service import Webhooks
from tests.factories import Shown, Tenant, make_tenant
from tests.receiver import Answer, Got, Receiver, running_receiver
from tests.servers import free_port, wait_until
from worker.egress import Egress
from worker.webhooks.delivering import DELIVERY_LEASE_SECONDS, Deliverer
from worker.webhooks.sending import Sender


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"dev_pds_url": "http://127.0.0.1:1"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


class Part:
    """The API and one worker on one database."""

    def __init__(self, database: Database, settings: Settings, keys: WorkerKeys) -> None:
        self.database = database
        self.tenant: Tenant = make_tenant(database)
        self.api = Webhooks(database, Sealer(keys.for_shim()), settings)
        self.table = Deliveries(database, Opener(keys), lease_seconds=DELIVERY_LEASE_SECONDS)
        self.egress = Egress(settings)
        self.is_stopping = False
        self.deliverer = self.worker(Sender(self.egress).send)

    def worker(self, send: Callable[[Claim, deliveries.ClaimedDelivery], Failure | int]) -> Deliverer:
        return Deliverer(self.table, send, is_stopping=lambda: self.is_stopping)

    def close(self) -> None:
        self.deliverer.close()
        self.egress.close()

    def hook(self, url: str, *, events: list[str] | None = None, **more: Any) -> Webhook:
        body = {"name": "hook", "url": url, "events": events or ["*"], **more}
        return self.api.create(self.tenant.caller, orjson.dumps(body), request_id="req_1")

    def emit(self, *subjects: str, event: EventType = EventType.ACCOUNT_CONNECTED) -> None:
        """One change after the other, each in its transaction."""
        for number, subject in enumerate(subjects):
            with self.database.write() as connection:
                outbox.emit(
                    connection, [Event(self.tenant.workspace_id, event, subject, Shown(id=subject, number=number))]
                )

    def rows(self, webhook: Webhook) -> list[Any]:
        return self.api.deliveries(self.tenant.caller, webhook.id, before=None, limit=1000, status=None).deliveries

    def statuses(self) -> Counter[str]:
        query = select(webhook_deliveries.c.status, func.count()).group_by(webhook_deliveries.c.status)
        with self.database.read() as connection:
            return Counter({row[0]: row[1] for row in connection.execute(query)})

    def hurry(self) -> None:
        """Everything that waits for a date has waited for it."""
        with self.database.write() as connection:
            now = from_now(-1)
            connection.execute(
                update(webhook_deliveries).where(webhook_deliveries.c.due_at.is_not(None)).values(due_at=now)
            )
            connection.execute(update(webhooks).where(webhooks.c.paused_until.is_not(None)).values(paused_until=now))

    def deliver_all(self, *, runs: int = 60) -> None:
        for _ in range(runs):
            self.deliverer.deliver()
            if not self.statuses()["pending"]:
                return
            self.hurry()
        raise AssertionError(f"not delivered: {self.statuses()}")

    def paused(self, webhook: Webhook) -> bool:
        query = select(webhooks.c.paused_until > from_now()).where(webhooks.c.id == webhook.id)
        with self.database.read() as connection:
            return bool(connection.execute(query).scalar())


@pytest.fixture
def part(database: Database, settings: Settings, worker_keys: WorkerKeys) -> Iterator[Part]:
    part = Part(database, settings, worker_keys)
    yield part
    part.close()


def in_order(got: list[Got]) -> dict[str, list[int]]:
    """The numbers of the events by what they are about, each as often as it came."""
    numbers = defaultdict(list)
    for one in got:
        numbers[one.subject].append(one.event["data"]["number"])
    return dict(numbers)


class TestOneDelivery:
    def test_what_a_receiver_gets(self, part: Part, receiver: Receiver) -> None:
        account = Account(
            id="sa_1",
            profile_id="pr_1",
            platform="bluesky",
            account_name="alice.test",
            status="active",
            connection_type="byo",
            connected_at="2026-11-23T10:00:00Z",
        ).model_dump(mode="json")
        webhook = part.hook(receiver.url, events=["account.connected"])
        with part.database.write() as connection:
            outbox.emit(
                connection,
                [Event(part.tenant.workspace_id, EventType.ACCOUNT_CONNECTED, "sa_1", Shown(**account), "x")],
            )
        part.deliverer.deliver()

        (got,) = receiver.got
        (row,) = part.rows(webhook)
        assert got.path == "/hook"
        assert got.headers["content-type"] == "application/json"
        assert got.headers["user-agent"] == "connector"
        assert got.headers["x-unipost-event"] == "account.connected"
        assert got.headers["x-unipost-delivery"] == row.id
        assert got.event == {
            "id": row.event_id,
            "event": "account.connected",
            "timestamp": row.model_dump(mode="json")["created_at"],
            "workspace_id": part.tenant.workspace_id,
            "data": account | {"cause": "x"},
        }
        assert webhook.secret is not None
        assert got.is_signed_with(webhook.secret)
        assert (row.status, row.attempts, row.last_status, row.last_error) == (DeliveryStatus.DELIVERED, 1, 204, None)
        assert row.finished_at is not None

    def test_what_is_not_wanted_is_not_sent(self, part: Part, receiver: Receiver) -> None:
        part.hook(receiver.url, events=["account.disconnected"])
        part.hook(receiver.url, active=False)
        part.emit("sa_1")
        part.deliverer.deliver()

        assert receiver.got == []

    def test_an_event_has_one_id_at_every_webhook_and_every_attempt(self, part: Part, receiver: Receiver) -> None:
        hooks = [part.hook(receiver.url), part.hook(receiver.url)]
        answers: Iterator[int] = iter([500, 500, 500])
        receiver.answer = lambda _got: next(answers, 200)
        part.emit("sa_1")
        part.deliver_all()

        assert len({got.event["id"] for got in receiver.got}) == 1
        assert len({got.body for got in receiver.got}) == 1
        assert Counter(got.headers["x-unipost-delivery"] for got in receiver.got).total() == 5
        assert {row.id for hook in hooks for row in part.rows(hook)} == {
            got.headers["x-unipost-delivery"] for got in receiver.got
        }

    def test_a_new_secret_signs_what_is_sent_from_then_on(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url, secret="0123456789abcdef")
        receiver.answer = lambda _got: 500
        part.emit("sa_1")
        part.deliverer.deliver()
        rotated = part.api.rotate(part.tenant.caller, webhook.id, request_id="req_1")
        receiver.answer = lambda _got: 200
        part.deliver_all()

        first, second = receiver.got
        assert first.is_signed_with("0123456789abcdef")
        assert rotated.secret is not None
        assert second.is_signed_with(rotated.secret)
        assert not second.is_signed_with("0123456789abcdef")
        assert first.body == second.body

    @pytest.mark.parametrize(
        ("answer", "status", "word"),
        [
            (404, 404, "rejected"),
            (500, 500, "server_error"),
            (429, 429, "rate_limited"),
            ((302, {"location": "/elsewhere"}), 302, "redirected"),
        ],
    )
    def test_no_other_answer_is_good(
        self, part: Part, receiver: Receiver, answer: Answer, status: int, word: str
    ) -> None:
        webhook = part.hook(receiver.url)
        receiver.answer = lambda _got: answer
        part.emit("sa_1")
        part.deliverer.deliver()

        (row,) = part.rows(webhook)
        assert (row.status, row.attempts) == (DeliveryStatus.PENDING, 1)
        assert (row.last_status, row.last_error) == (status, word)
        assert row.next_attempt_at > row.created_at
        assert [got.path for got in receiver.got] == ["/hook"]

    def test_nobody_listens(self, part: Part) -> None:
        webhook = part.hook(f"http://127.0.0.1:{free_port()}/")
        part.emit("sa_1")
        part.deliverer.deliver()

        (row,) = part.rows(webhook)
        assert (row.last_status, row.last_error) == (None, "connection_failed")

    def test_who_is_slow_has_not_taken_it(self, part: Part, receiver: Receiver) -> None:
        webhook, released = part.hook(receiver.url), threading.Event()

        def hang(_got: Got) -> Answer:
            released.wait(30)
            return 200

        receiver.answer = hang
        part.emit("sa_1")
        impatient = part.worker(Sender(part.egress, seconds=0.2).send)
        impatient.deliver()
        released.set()

        assert part.rows(webhook)[0].last_error == "timeout"
        receiver.answer = lambda _got: 200
        part.deliver_all()
        assert len({got.event["id"] for got in receiver.got}) == 1
        impatient.close()

    def test_gone_is_final_for_this_event_and_no_other(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url)
        receiver.answer = lambda _got: 410
        part.emit("sa_1")
        with capture_logs() as logs:
            part.deliverer.deliver()
        receiver.answer = lambda _got: 200
        part.emit("sa_1")
        part.deliverer.deliver()

        assert [(row.status, row.last_error) for row in part.rows(webhook)] == [("delivered", None), ("dead", "gone")]
        assert [log["event"] for log in logs] == ["webhook_delivery_dead"]


class TestOrder:
    def test_what_is_about_one_account_arrives_in_order_whatever_fails(self, part: Part, receiver: Receiver) -> None:
        subjects = ["sa_1", "sa_2", "sa_3"]
        attempts = Counter[str]()

        def fail_at_first(got: Got) -> Answer:
            attempts[got.event["id"]] += 1
            return 500 if attempts[got.event["id"]] <= got.event["data"]["number"] % 3 else 200

        receiver.answer = fail_at_first
        part.hook(receiver.url)
        part.emit(*subjects * 5)
        part.deliver_all(runs=200)

        taken = [numbers for subject, numbers in sorted(in_order(receiver.got).items())]
        assert len(taken) == 3
        for numbers in taken:
            assert numbers == sorted(numbers)
            assert len(set(numbers)) == 5

    def test_a_later_one_waits_for_the_one_before_and_for_no_other(self, part: Part, receiver: Receiver) -> None:
        part.hook(receiver.url)
        receiver.answer = lambda got: 400 if got.subject == "sa_1" else 200
        part.emit("sa_1", "sa_2", "sa_1", "sa_2")
        part.deliverer.deliver()
        part.deliverer.deliver()

        assert in_order(receiver.got) == {"sa_1": [0], "sa_2": [1, 3]}

    def test_a_dead_one_holds_nobody_up(self, part: Part, receiver: Receiver) -> None:
        part.hook(receiver.url)
        receiver.answer = lambda got: 410 if got.event["data"]["number"] == 0 else 200
        part.emit("sa_1", "sa_1")
        part.deliver_all()

        assert in_order(receiver.got) == {"sa_1": [0, 1]}

    def test_many_workers_send_each_once_and_in_order(self, part: Part, receiver: Receiver) -> None:
        part.hook(receiver.url)
        part.emit(*[f"sa_{number % 8}" for number in range(64)])
        workers = [part.worker(Sender(part.egress).send) for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda worker: worker.deliver(), workers))
        part.deliver_all()

        assert Counter(got.event["id"] for got in receiver.got).most_common(1)[0][1] == 1
        for subject, numbers in in_order(receiver.got).items():
            assert numbers == list(range(int(subject[3:]), 64, 8))
        for worker in workers:
            worker.close()


class TestAtLeastOnce:
    def test_what_a_killed_worker_had_is_sent_again_after_its_lease(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url)
        part.emit("sa_1", "sa_2")
        claim = part.table.claim(webhook.id, limit=10)
        assert claim is not None  # and its worker is gone
        part.deliverer.deliver()
        assert receiver.got == []
        part.deliver_all()

        assert {got.subject for got in receiver.got} == {"sa_1", "sa_2"}
        assert part.statuses() == {"delivered": 2}
        # It was only frozen, and what it says counts for nothing any more.
        assert not part.table.succeed(claim.deliveries[0], status=200)
        assert part.table.fail(claim.deliveries[1], Failure("timeout"), jitter=0).status is None
        assert part.statuses() == {"delivered": 2}

    def test_who_has_lost_a_delivery_to_another_cannot_settle_it(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url)
        part.emit("sa_1")
        claims = []
        for _ in range(2):
            claims.append(part.table.claim(webhook.id, limit=10))
            part.hurry()
        stale, valid = (claim.deliveries[0] for claim in claims if claim is not None)

        assert not part.table.succeed(stale, status=200)
        assert part.table.fail(stale, Failure("gone", is_final=True), jitter=0).status is None
        part.table.give_back([stale])
        assert part.statuses() == {"pending": 1}
        assert part.table.succeed(valid, status=200)
        assert part.statuses() == {"delivered": 1}

    def test_a_worker_that_is_to_stop_gives_back_what_it_has_not_sent(self, part: Part, receiver: Receiver) -> None:
        def stop(_got: Got) -> Answer:
            part.is_stopping = True
            return 200

        receiver.answer = stop
        part.hook(receiver.url)
        part.emit("sa_1", "sa_2", "sa_3")
        part.deliverer.deliver()

        assert len(receiver.got) == 1
        part.is_stopping = False
        receiver.answer = lambda _got: 200
        part.deliverer.deliver()  # nobody waits for a lease
        assert part.statuses() == {"delivered": 3}
        assert len(receiver.got) == 3


class TestReceiverThatIsDown:
    def test_many_events_cost_a_few_attempts_and_all_arrive_when_it_is_back(
        self, part: Part, receiver: Receiver
    ) -> None:
        webhook = part.hook(receiver.url)
        receiver.answer = lambda _got: 503
        part.emit(*[f"sa_{number % 50}" for number in range(300)])
        part.deliverer.deliver()
        assert len(receiver.got) == 3
        assert part.paused(webhook)
        part.deliverer.deliver()
        assert len(receiver.got) == 3
        # An hour later: one attempt for each pause that is over.
        for attempts in range(4, 16):
            part.hurry()
            part.deliverer.deliver()
            part.deliverer.deliver()
            assert len(receiver.got) == attempts
        receiver.forget()
        receiver.answer = lambda _got: 200
        part.deliver_all()

        assert not part.paused(webhook)
        assert part.statuses() == {"delivered": 300}
        assert len(receiver.got) == 300
        for subject, numbers in in_order(receiver.got).items():
            assert numbers == list(range(int(subject[3:]), 300, 50))

    def test_its_wish_to_be_left_alone_is_respected(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url)
        receiver.answer = lambda _got: (429, {"retry-after": "600"})
        part.emit("sa_1", "sa_2")
        part.deliverer.deliver()
        part.deliverer.deliver()

        assert len(receiver.got) == 1
        rows = sorted(part.rows(webhook), key=lambda row: row.subject)
        waits = (rows[0].next_attempt_at - rows[0].created_at).total_seconds()
        assert 595 < waits < 700

    def test_those_that_are_slow_do_not_hold_up_the_others(self, part: Part, receiver: Receiver) -> None:
        released = threading.Event()

        def hang(got: Got) -> Answer:
            if got.path == "/slow":
                released.wait(30)
            return 200

        receiver.answer = hang
        for _ in range(12):
            part.hook(receiver.url.replace("/hook", "/slow"))
        part.hook(receiver.url)
        part.emit(*[f"sa_{number}" for number in range(15)])
        with ThreadPoolExecutor(4) as beat:
            try:
                runs = [beat.submit(part.deliverer.deliver) for _ in range(4)]
                wait_until(lambda: sum(got.path == "/hook" for got in receiver.got) == 15, what="the others")
            finally:
                released.set()
            for run in runs:
                run.result()

    def test_no_more_runs_wait_for_it_than_may(self, part: Part, receiver: Receiver) -> None:
        released = threading.Event()

        def hang(_got: Got) -> Answer:
            released.wait(30)
            return 200

        receiver.answer = hang
        part.hook(receiver.url)
        part.emit("sa_1")
        one_at_a_time = Deliverer(part.table, Sender(part.egress).send, is_stopping=lambda: False, runs=1)
        with ThreadPoolExecutor(1) as beat:
            run = beat.submit(one_at_a_time.deliver)
            try:
                wait_until(lambda: receiver.got, what="the first")
                part.hook(receiver.url)
                part.emit("sa_2")
                one_at_a_time.deliver()
                assert len(receiver.got) == 1
            finally:
                released.set()
            run.result()
        one_at_a_time.close()
        part.deliver_all()

        assert part.statuses() == {"delivered": 3}

    def test_an_operator_who_has_mended_it_need_not_wait(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url)
        receiver.answer = lambda _got: 410 if len(receiver.got) == 1 else 500
        part.emit("sa_1", "sa_2", "sa_3", "sa_4")
        part.deliverer.deliver()
        assert part.paused(webhook)
        receiver.answer = lambda _got: 200
        part.api.replay_dead(part.tenant.caller, webhook.id, request_id="req_1")

        assert not part.paused(webhook)


class TestTheEnd:
    def expire(self, part: Part) -> None:
        with part.database.write() as connection:
            connection.execute(update(webhook_deliveries).values(expires_at=from_now(-1)))

    def test_what_fails_until_its_time_is_over_is_dead_and_can_be_replayed(
        self, part: Part, receiver: Receiver
    ) -> None:
        webhook = part.hook(receiver.url)
        receiver.answer = lambda _got: 500
        part.emit("sa_1", "sa_1")
        part.deliverer.deliver()
        self.expire(part)
        part.hurry()
        with capture_logs() as logs:
            part.deliverer.deliver()

        rows = part.rows(webhook)
        assert [(row.status, row.last_error) for row in rows] == [("dead", "expired"), ("dead", "server_error")]
        assert [log["event"] for log in logs] == ["webhook_deliveries_dead"]
        assert len(receiver.got) == 1

        receiver.answer = lambda _got: 200
        caller = part.tenant.caller
        replay = part.api.replay_dead(caller, webhook.id, request_id="req_1")
        assert (replay.replayed, replay.has_more) == (2, False)
        part.deliver_all()

        assert part.statuses() == {"delivered": 2}
        assert in_order(receiver.got[1:]) == {"sa_1": [0, 1]}
        assert {got.event["id"] for got in receiver.got} == {row.event_id for row in rows}

    def test_the_last_attempt_is_the_one_after_which_there_is_no_time_left(
        self, part: Part, receiver: Receiver
    ) -> None:
        webhook = part.hook(receiver.url)
        receiver.answer = lambda _got: 400
        part.emit("sa_1")
        with part.database.write() as connection:
            connection.execute(update(webhook_deliveries).values(expires_at=from_now(2)))
        part.deliverer.deliver()

        assert [(row.status, row.attempts) for row in part.rows(webhook)] == [("dead", 1)]

    def test_a_delivered_one_can_be_replayed_as_the_same_event(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url)
        part.emit("sa_1")
        part.deliverer.deliver()
        (row,) = part.rows(webhook)
        again = part.api.replay(part.tenant.caller, webhook.id, row.id, request_id="req_1")
        assert (again.status, again.attempts, again.finished_at) == (DeliveryStatus.PENDING, 0, None)
        part.deliverer.deliver()

        first, second = receiver.got
        assert (first.body, first.headers["x-unipost-delivery"]) == (second.body, second.headers["x-unipost-delivery"])

    def test_a_webhook_that_is_switched_off_keeps_what_it_has_until_it_is_on_again(
        self, part: Part, receiver: Receiver
    ) -> None:
        webhook = part.hook(receiver.url)
        part.emit("sa_1")
        part.api.update(part.tenant.caller, webhook.id, b'{"active": false}', request_id="req_1")
        part.emit("sa_2")
        part.deliverer.deliver()
        assert receiver.got == []
        part.api.update(part.tenant.caller, webhook.id, b'{"active": true}', request_id="req_1")
        part.deliverer.deliver()

        assert [got.subject for got in receiver.got] == ["sa_1"]

    def test_a_deleted_webhook_is_told_nothing_more_and_leaves_no_secret(self, part: Part, receiver: Receiver) -> None:
        webhook = part.hook(receiver.url)
        part.emit(*[f"sa_{number}" for number in range(150)])
        part.api.delete(part.tenant.caller, webhook.id, request_id="req_1")
        part.emit("sa_1")
        part.deliverer.deliver()

        assert receiver.got == []
        assert part.statuses() == {}
        with part.database.read() as connection:
            row = connection.execute(select(webhooks.c.sealed_secret, webhooks.c.sealing_key)).one()
        assert row == (b"", "")

    def test_without_its_key_nothing_is_sent_and_nothing_is_lost(
        self, part: Part, receiver: Receiver, settings: Settings
    ) -> None:
        webhook = part.hook(receiver.url)
        part.emit("sa_1")
        strangers = Opener(WorkerKeys.generate(settings.env))
        locked_out = Deliverer(
            Deliveries(part.database, strangers, lease_seconds=DELIVERY_LEASE_SECONDS),
            Sender(part.egress).send,
            is_stopping=lambda: False,
        )
        locked_out.deliver()
        locked_out.close()
        assert receiver.got == []
        assert part.rows(webhook)[0].last_error == "secret_unavailable"
        part.deliver_all()

        assert len(receiver.got) == 1


def test_the_age_of_the_oldest(part: Part, receiver: Receiver) -> None:
    def oldest() -> float | None:
        with part.database.read() as connection:
            return deliveries.oldest_pending(connection)

    assert oldest() is None
    part.hook(receiver.url)
    part.emit("sa_1", "sa_2")
    with part.database.write() as connection:
        late = from_now(outbox.DELIVER_FOR_SECONDS - 600)
        connection.execute(
            update(webhook_deliveries).where(webhook_deliveries.c.subject == "sa_2").values(expires_at=late)
        )
    assert oldest() == pytest.approx(600, abs=60)
    part.deliverer.deliver()
    assert oldest() is None
