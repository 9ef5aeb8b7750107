"""What is traced of attempts, wherever and however often they are made."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import pytest
import redis
from sqlalchemy import update

from connections import errors, tracing
from connections.db import Database
from connections.messages import Queue
from connections.models import connect_tasks
from connections.rate import Rate
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from connections.verified import VerifiedAccount
from tests.factories import FakePlatform, NoLoginLimits, connect_command, make_batch, make_tenant, verified
from tests.spans import InMemory, recorded
from worker.announce import Announcer
from worker.pace import bulk
from worker.pacing import Pacer
from worker.perform import Performer
from worker.sweep import Sweeper

TRACE, REQUEST = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{REQUEST}-01"


class Bench:
    """A workspace, the API's service and one worker, without the processes around them."""

    def __init__(self, database: Database, keys: WorkerKeys, settings: Settings, client: redis.Redis) -> None:
        self.database = database
        self.sealer = Sealer(keys.for_shim())
        self.tenant = make_tenant(database)
        self.settlement = Settlement(database, Opener(keys), TokenCipher(keys), lease_seconds=30)
        self.announcer = Announcer(client)
        self._service = ConnectService(database, self.sealer, settings)

    def accept(self, traceparent: str | None = TRACEPARENT, *, wait: float = 25) -> str:
        return self._service.accept(
            self.tenant.caller,
            connect_command(),
            request_id="req_1",
            reply_to="shim_1",
            wait=wait,
            traceparent=traceparent,
        ).task_id

    def performer(self, *answers: VerifiedAccount | BaseException) -> Performer:
        return Performer(
            self.settlement,
            {"bluesky": FakePlatform([*answers])},
            self.announcer,
            NoLoginLimits(),
            attempt_seconds=5,
            is_stopping=lambda: False,
            pause=lambda _: self.pass_time("available_at"),
        )

    def sweep(self) -> list[str]:
        sent: list[str] = []
        Sweeper(self.settlement, self.announcer, lambda task_id, _: sent.append(task_id)).sweep()
        return sent

    def pass_time(self, *columns: str) -> None:
        with self.database.write() as connection:
            connection.execute(update(connect_tasks).values(dict.fromkeys(columns, from_now(-1))))

    def trace_rows(self, traceparent: str, task_ids: Sequence[str]) -> None:
        """As if the batch's request had been traced."""
        change = update(connect_tasks).where(connect_tasks.c.id.in_(task_ids)).values(traceparent=traceparent)
        with self.database.write() as connection:
            connection.execute(change)


@pytest.fixture
def bench(database: Database, worker_keys: WorkerKeys, settings: Settings, client: redis.Redis) -> Bench:
    return Bench(database, worker_keys, settings, client)


@pytest.fixture
def memory() -> Iterator[InMemory]:
    with recorded() as memory:
        yield memory


def test_an_attempt_is_below_the_request_and_says_how_it_ended(bench: Bench, memory: InMemory) -> None:
    task_id = bench.accept()
    bench.performer(verified()).perform(task_id)

    attempt = memory.spans.only("connect attempt")
    assert (attempt.trace, attempt.parent, attempt.kind) == (TRACE, REQUEST, "CONSUMER")
    assert attempt.attributes == {
        "connector.task.id": task_id,
        "connector.request.id": "req_1",
        "connector.platform": "bluesky",
        "connector.attempt": 1,
        "connector.outcome": "succeeded",
        "messaging.system": "redis",
        "messaging.operation.type": "process",
        "messaging.destination.name": "connect",
    }
    assert memory.spans.below(attempt).names == ["settle", "announce"]


def test_all_attempts_are_in_the_trace_of_the_request(bench: Bench, memory: InMemory) -> None:
    bench.performer(errors.UpstreamFailed(), errors.UpstreamFailed(), verified()).perform(bench.accept())

    attempts = memory.spans.named("connect attempt")
    assert {(attempt.trace, attempt.parent) for attempt in attempts} == {(TRACE, REQUEST)}
    assert [attempt.attributes["connector.attempt"] for attempt in attempts] == [1, 2, 3]
    assert [attempt.attributes["connector.outcome"] for attempt in attempts] == ["retrying", "retrying", "succeeded"]
    assert [attempt.attributes.get("error.type") for attempt in attempts] == ["upstream_error", "upstream_error", None]
    assert [attempt.has_failed for attempt in attempts] == [True, True, False]


ENDS: dict[str, tuple[BaseException, str, bool]] = {
    "a wrong password": (errors.CredentialsRejected(), "unauthorized", False),
    "a handle of nobody": (errors.HandleNotFound(), "handle_not_found", False),
    "a bug": (RuntimeError("abcd-efgh-2345-wxyz"), "internal_error", True),
}


@pytest.mark.parametrize(("error", "cause", "has_failed"), ENDS.values(), ids=ENDS)
def test_the_cause_is_told_in_one_word(
    bench: Bench, memory: InMemory, error: BaseException, cause: str, has_failed: bool
) -> None:
    bench.performer(error).perform(bench.accept())

    attempt = memory.spans.only("connect attempt")
    assert (attempt.attributes["connector.outcome"], attempt.attributes["connector.cause"]) == ("failed", cause)
    assert attempt.has_failed is has_failed
    assert "abcd" not in str(memory.spans)


def test_what_is_swept_stays_in_the_trace(bench: Bench, memory: InMemory) -> None:
    task_id = bench.accept()
    bench.settlement.claim(task_id)  # and the worker is killed
    bench.pass_time("available_at", "sweep_at")
    assert bench.sweep() == [task_id]
    bench.performer(verified()).perform(task_id)

    sweep, attempt = memory.spans.only("sweep"), memory.spans.only("connect attempt")
    assert {(span.trace, span.parent) for span in (sweep, attempt)} == {(TRACE, REQUEST)}
    assert memory.spans.below(sweep).names == ["publish connect"]
    assert attempt.attributes["connector.attempt"] == 2


def test_the_end_of_a_tasks_time_is_told(bench: Bench, memory: InMemory) -> None:
    first, second = bench.accept(), bench.accept(wait=0)
    assert first == second
    bench.pass_time("expires_at", "sweep_at")
    bench.performer(verified()).perform(first)

    attempt = memory.spans.only("connect attempt")
    assert (attempt.attributes["connector.outcome"], memory.spans.below(attempt).names) == ("expired", ["announce"])

    bench.accept()
    bench.pass_time("expires_at", "sweep_at")
    assert bench.sweep() == []
    sweep = memory.spans.only("sweep")
    assert (sweep.attributes["connector.expired"], memory.spans.below(sweep).names) == (True, ["announce"])


def test_a_task_of_an_api_without_traces_has_one_of_the_workers(bench: Bench, memory: InMemory) -> None:
    bench.performer(verified()).perform(bench.accept(None))

    assert memory.spans.only("connect attempt").parent == ""


def test_rows_are_below_their_message_and_linked_to_the_request(bench: Bench, memory: InMemory) -> None:
    batch = make_batch(bench.database, bench.tenant, ["a.test", "b.test", "c.test"], bench.sealer)
    bench.trace_rows(TRACEPARENT, batch.task_ids)
    answers = verified("did:plc:a"), errors.CredentialsRejected(), verified("did:plc:c")
    bench.performer(*answers).perform_rows(batch.task_ids)

    message = memory.spans.only("connect rows")
    assert (message.kind, message.parent, message.links) == ("CONSUMER", "", (f"{TRACE}/{REQUEST}",))
    assert (message.attributes["messaging.destination.name"], message.attributes["connector.rows"]) == (Queue.BULK, 3)
    rows = memory.spans.below(message).named("connect attempt")
    assert [row.attributes["connector.task.id"] for row in rows] == batch.task_ids
    assert {row.attributes["connector.batch.id"] for row in rows} == {batch.id}
    assert [row.attributes["connector.outcome"] for row in rows] == ["verified", "failed", "verified"]
    assert {row.links for row in rows} == {(f"{TRACE}/{REQUEST}",)}
    assert len(memory.spans.below(message).named("settle")) == 1  # for all that were verified


def test_rows_that_cannot_be_stored_together_tell_each_of_its_end(bench: Bench, memory: InMemory) -> None:
    batch = make_batch(bench.database, bench.tenant, ["a.test", "also-a.test"], bench.sealer)
    bench.performer(verified("did:plc:a")).perform_rows(batch.task_ids)

    alone = memory.spans.below(memory.spans.only("connect rows")).named("keep alone")
    assert [span.attributes["connector.task.id"] for span in alone] == batch.task_ids
    assert [span.attributes.get("connector.cause") for span in alone] == [None, "account_already_connected"]
    assert [span.attributes["connector.outcome"] for span in alone] == ["succeeded", "failed"]


def test_rows_of_a_request_that_is_not_recorded_are_not_either(bench: Bench, memory: InMemory) -> None:
    batch = make_batch(bench.database, bench.tenant, ["a.test"], bench.sealer)
    bench.trace_rows(f"{TRACEPARENT[:-2]}00", batch.task_ids)
    bench.performer(verified("did:plc:a")).perform_rows(batch.task_ids)

    assert memory.spans == []


@pytest.mark.parametrize(("line", "whose"), [("batches", bulk), ("callers", nullcontext)])
def test_a_wait_for_a_turn_is_told(
    client: redis.Redis, memory: InMemory, line: str, whose: Callable[[], AbstractContextManager[None]]
) -> None:
    slept: list[float] = []
    # A turn a second: the first ones come at once, and none is more than two seconds ahead.
    pacer = Pacer(client, budget=Rate(300, 300), interactive_share=0, egress_address="test", sleep=slept.append)
    with tracing.span("connect attempt"), whose():
        while not slept:
            pacer.take("pds.example.com", deadline=time.monotonic() + 60)

    wait, attempt = memory.spans
    assert (wait.name, wait.parent) == ("wait for turn", attempt.id)
    assert wait.attributes == {"connector.turn.seconds": slept[0], "connector.turn.line": line}
