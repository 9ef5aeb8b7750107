"""Requests with an `Idempotency-Key`: all at once, after a hang-up, after their end, and with another body."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest

from tests.e2e.stack import body
from tests.factories import Tenant
from tests.faults.fleet import WORKERS, Fleet
from tests.faults.http import Answer, Dropped, ask
from tests.faults.orders import Point
from tests.faults.people import Person
from tests.faults.verdict import LOGIN
from tests.servers import wait_until

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
CALLERS = 50


def connect(url: str, tenant: Tenant, person: Person, *, password: str | None = None, seconds: float = 60) -> Answer:
    headers = {"Authorization": f"Bearer {tenant.key}", "Idempotency-Key": KEY}
    return ask(
        "POST",
        f"{url}/v1/accounts/connect",
        headers=headers,
        body=body(person.handle, password or person.password),
        seconds=seconds,
    )


def connect_all(fleet: Fleet, tenant: Tenant, person: Person) -> list[Answer]:
    """Fifty at once, to both API processes; none is tried before the first is stored."""
    fleet.hold(Point.CLAIMED, *WORKERS, threads=0)
    with ThreadPoolExecutor(CALLERS) as threads:
        calls = [
            threads.submit(connect, url, tenant, person)
            for _, url in zip(range(CALLERS), cycle(fleet.urls), strict=False)
        ]
        wait_until(lambda: fleet.tasks_in_flight(tenant) == 1, what="the task")
        fleet.release(Point.CLAIMED, *WORKERS)
        return [call.result() for call in calls]


def test_fifty_at_once_and_once_more_get_one_answer(fleet: Fleet) -> None:
    tenant, person = fleet.tenant(), fleet.person()
    answers = connect_all(fleet, tenant, person)
    answers += [connect(url, tenant, person) for url in fleet.urls]

    assert {answer.status for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["x-request-id"] for answer in answers} == {answers[0].body["request_id"]}
    assert len(fleet.sandbox.control.requests(LOGIN)) == 1


def test_another_body_is_refused_before_and_after_the_end(fleet: Fleet) -> None:
    tenant, person = fleet.tenant(), fleet.person()
    fleet.hold(Point.CLAIMED, *WORKERS, threads=0)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(connect, fleet.urls[0], tenant, person)
        wait_until(lambda: fleet.tasks_in_flight(tenant) == 1, what="the task")
        others = [connect(fleet.urls[1], tenant, person, password="another-password")]
        fleet.release(Point.CLAIMED, *WORKERS)
        assert first.result().status == 201
    others += [connect(fleet.urls[1], tenant, person, password="another-password")]

    assert [(other.status, other.body["error"]["code"]) for other in others] == [(422, "IDEMPOTENCY_KEY_REUSED")] * 2
    assert len(fleet.sandbox.control.requests(LOGIN)) == 1


def test_who_hung_up_gets_the_answer_at_the_other_process(fleet: Fleet) -> None:
    tenant, person = fleet.tenant(), fleet.person()
    fleet.hold(Point.CLAIMED, *WORKERS, threads=0)
    with pytest.raises(Dropped):
        connect(fleet.urls[0], tenant, person, seconds=0.5)
    wait_until(lambda: fleet.waiting_callers(0) == 0, what="the API to notice")
    fleet.release(Point.CLAIMED, *WORKERS)
    again = [connect(url, tenant, person) for url in reversed(fleet.urls)]

    assert {answer.status for answer in again} == {201}
    assert len({answer.content for answer in again}) == 1
    assert len(fleet.sandbox.control.requests(LOGIN)) == 1
