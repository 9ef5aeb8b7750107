"""A request for a live session, from asked to taken away: who loses a race or dies changes nothing. On both."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from connections.contract import AccountSession
from connections.db import Database
from connections.errors import NotFound, UpstreamFailed, UpstreamRateLimited
from connections.ids import new_id
from connections.models import session_requests
from connections.repository.retention import delete_batch, retentions
from connections.session_answers import SessionAnswers
from connections.session_requests import UNANSWERED, AskedSession, Refused, SessionRequests
from connections.sqltime import from_now
from connections.vault import EphemeralKey, UnreadableSecret
from tests.account_rows import insert_account
from tests.factories import Tenant, make_tenant
from tests.sessions import TOKEN, FakeSessions, audited, opener

SESSION = AccountSession(
    account_id="sa_1",
    platform="bluesky",
    did="did:plc:alice",
    handle=None,
    service_endpoint="https://pds.test",
    access_token=TOKEN,
    expires_at=None,
)


class Desk:
    """A workspace with an account, the API's side and a worker's."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tenant: Tenant = make_tenant(database)
        self.account_id = insert_account(database, self.tenant)
        self.requests = SessionRequests(database)
        self.answers = SessionAnswers(database, lease_seconds=60.0)

    def asked(self, *, wait: float = 25.0, account_id: str | None = None) -> AskedSession:
        asked = AskedSession(
            new_id("sq"), self.tenant.caller, account_id or self.account_id, "req_1", 300, EphemeralKey()
        )
        self.requests.ask(asked, reply_to="shim_1", wait=wait)
        return asked

    def change(self, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(update(session_requests).values(values))

    def left(self) -> int:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(session_requests)).scalar_one()

    def audited(self) -> list[tuple[str, str | None]]:
        """Outcome and cause of each entry."""
        return [(entry.outcome, entry.cause) for entry in audited(self.database)]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_an_answer_is_sealed_taken_once_and_audited(desk: Desk) -> None:
    asked = desk.asked()
    claimed = desk.answers.claim(asked.id)
    assert claimed is not None
    assert (claimed.account_id, claimed.platform, claimed.least_seconds) == (desk.account_id, "bluesky", 300)
    assert desk.requests.answered([asked.id]) == []

    assert desk.answers.give(claimed, SESSION)

    assert [(one.id, one.status) for one in desk.requests.answered([asked.id, "sq_other"])] == [(asked.id, "succeeded")]
    with desk.database.read() as connection:
        assert TOKEN not in str(connection.execute(select(session_requests)).one())
    assert desk.requests.take(asked) == SESSION
    assert desk.requests.take(asked) is None
    (entry,) = audited(desk.database)
    assert entry == ("key", "account.session", desk.account_id, "succeeded", None, "req_1")
    assert desk.left() == 0


def test_a_refusal_comes_with_the_time_to_wait(desk: Desk) -> None:
    asked = desk.asked()
    claimed = desk.answers.claim(asked.id)
    assert claimed is not None
    assert desk.answers.refuse(claimed, UpstreamRateLimited(retry_after=12.5))

    assert [one.status for one in desk.requests.answered([asked.id])] == ["failed"]
    answer = desk.requests.take(asked)
    assert isinstance(answer, Refused)
    assert (answer.error.code, answer.retry_after) == ("UPSTREAM_RATE_LIMITED", 12.5)
    assert desk.audited() == [("failed", "upstream_rate_limited")]


def test_a_request_is_claimed_once_at_a_time(desk: Desk) -> None:
    asked = desk.asked()
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: desk.answers.claim(asked.id), range(8)))

    assert sum(claim is not None for claim in claims) == 1
    assert desk.answers.claim_overdue() is None


def test_a_worker_that_died_is_followed_by_another(desk: Desk) -> None:
    asked = desk.asked()
    dead = desk.answers.claim(asked.id)
    desk.change(available_at=from_now(-2))  # its lease has ended

    follower = desk.answers.claim_overdue()

    assert follower is not None
    assert dead is not None
    assert desk.answers.give(follower, SESSION)
    assert not desk.answers.refuse(dead, UpstreamFailed())  # it was not dead after all
    assert desk.requests.take(asked) == SESSION
    assert desk.audited() == [("succeeded", None)]


def test_what_is_not_late_is_left_to_its_message(desk: Desk) -> None:
    asked = desk.asked()
    assert desk.answers.claim_overdue() is None
    desk.change(available_at=from_now(-2))
    overdue = desk.answers.claim_overdue()
    assert overdue is not None
    assert overdue.id == asked.id


def test_two_workers_never_find_the_same_overdue_one(desk: Desk) -> None:
    asked = {desk.asked().id for _ in range(20)}
    desk.change(available_at=from_now(-2))
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: desk.answers.claim_overdue(), range(30)))

    found = [claim.id for claim in claims if claim is not None]
    # On Postgres a locked one is passed over, so that one who comes in that moment may find nothing.
    assert len(found) == len({*found})
    while (rest := desk.answers.claim_overdue()) is not None:
        found.append(rest.id)
    assert sorted(found) == sorted(asked)


def test_nobody_works_for_a_caller_who_has_gone(desk: Desk) -> None:
    asked = desk.asked(wait=-1)
    desk.change(available_at=from_now(-2))

    assert desk.answers.claim(asked.id) is None
    assert desk.answers.claim_overdue() is None
    assert desk.requests.take(asked) is None
    assert desk.audited() == [("failed", UNANSWERED)]


def test_an_answer_that_comes_too_late_is_given_to_nobody(desk: Desk) -> None:
    asked = desk.asked()
    claimed = desk.answers.claim(asked.id)
    assert claimed is not None
    assert desk.requests.take(asked) is None

    assert not desk.answers.give(claimed, SESSION)
    assert desk.left() == 0
    assert desk.audited() == [("failed", UNANSWERED)]


def test_an_account_of_nobody_or_another_workspace_is_not_found(desk: Desk) -> None:
    foreign = insert_account(desk.database, make_tenant(desk.database))
    for account_id in (foreign, "sa_of_nobody", "", "'; --", "é" * 99):
        with pytest.raises(NotFound):
            desk.asked(account_id=account_id or "no id")

    assert desk.left() == 0
    assert {entry.account_id for entry in audited(desk.database)} == {None}
    assert {*desk.audited()} == {("failed", "not_found")}


def test_only_who_asked_opens_the_answer(desk: Desk) -> None:
    asked = desk.asked()
    claimed = desk.answers.claim(asked.id)
    assert claimed is not None
    desk.answers.give(claimed, SESSION)
    thief = AskedSession(asked.id, asked.caller, asked.account_id, "req_2", 300, EphemeralKey())

    with pytest.raises(UnreadableSecret):
        desk.requests.take(thief)


def test_an_answer_moved_to_another_request_does_not_open(desk: Desk) -> None:
    asked, other = desk.asked(), desk.asked()
    desk.change(public_key=asked.key.public)
    claimed = desk.answers.claim(other.id)
    assert claimed is not None
    desk.answers.give(claimed, SESSION)
    with desk.database.write() as connection:
        sealed = connection.execute(
            select(session_requests.c.sealed_session).where(session_requests.c.id == other.id)
        ).scalar_one()
        connection.execute(
            update(session_requests)
            .where(session_requests.c.id == asked.id)
            .values(sealed_session=sealed, finished_at=from_now())
        )

    with pytest.raises(UnreadableSecret):
        desk.requests.take(asked)


def test_what_nobody_takes_away_is_pruned(desk: Desk) -> None:
    desk.asked()
    kinds = retentions(task_seconds=86_400.0, audit_seconds=90 * 86_400.0)
    (kind,) = [one for one in kinds if one.table_name == "session_requests"]

    def prune() -> int:
        with desk.database.write() as connection:
            return delete_batch(connection, kind, limit=10)

    desk.change(expires_at=datetime.now(UTC) - timedelta(seconds=30))
    assert prune() == 0  # its caller may be about to take it
    desk.change(expires_at=datetime.now(UTC) - timedelta(seconds=90))
    assert prune() == 1
    assert desk.left() == 0


def test_a_look_at_the_overdue_answers_all_of_them(desk: Desk) -> None:
    asked = [desk.asked() for _ in range(5)]
    desk.change(available_at=from_now(-2))
    announced: list[str] = []

    opener(desk.database, FakeSessions(), lambda _channel, text: announced.append(text)).open_overdue()

    assert sorted(announced) == sorted(one.id for one in asked)
    assert all(isinstance(desk.requests.take(one), AccountSession) for one in asked)


def test_a_message_that_comes_twice_is_one_answer(desk: Desk) -> None:
    asked, sessions = desk.asked(), FakeSessions()
    worker = opener(desk.database, sessions)

    worker.open(asked.id)
    worker.open(asked.id)

    assert sessions.asked == [(desk.account_id, 300)]
    assert desk.audited() == [("succeeded", None)]
