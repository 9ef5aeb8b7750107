"""What is read from the audit log is what was written, whatever the filters and the length of a page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from connections import auditing
from connections.audit import Action, AuditEntry, AuditOutcome
from connections.auditing import read_all, read_page
from connections.contract import AuditLogEntry
from connections.db import Database
from connections.models import audit_log, workspaces
from connections.repository import audit
from connections.repository.audit import AuditFilter

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WORKSPACES = ("ws_1", "ws_2")
ACCOUNTS = ("sa_1", "sa_2")
ACTORS = ("key_1", "key_2", "worker")
ACTIONS = (Action.ACCOUNT_CONNECT, Action.ACCOUNT_REFUSED)
OUTCOMES = tuple(AuditOutcome)
# Sixty entries, three at any instant, in every combination of what the filters are about.
ENTRIES: list[dict[str, Any]] = [
    {
        "id": f"al_{number * 37 % 60:02}",
        "workspace_id": (workspace := WORKSPACES[number % 4 == 0]),
        "at": NOON + timedelta(microseconds=number // 3),
        "actor": ACTORS[number % 3],
        "action": ACTIONS[number % 5 == 0],
        "outcome": OUTCOMES[number % 7 == 0],
        "account_id": None if number % 11 == 0 else ACCOUNTS[workspace == "ws_2"],
    }
    for number in range(60)
]


@pytest.fixture
def log(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(audit, "LOOKED_AT", 4)
    with database.write() as connection:
        connection.execute(insert(workspaces), [{"id": one, "name": one, "created_at": NOON} for one in WORKSPACES])
        connection.execute(insert(audit_log), ENTRIES)
    return database


def all_of(database: Database, wanted: AuditFilter, limit: int) -> list[AuditLogEntry]:
    """Page by page, each of which goes by the limit."""
    entries: list[AuditLogEntry] = []
    cursor: str | None = None
    while True:
        page = read_page(database, wanted, cursor=cursor, limit=limit)
        assert len(page.entries) <= limit
        entries += page.entries
        if page.next_cursor is None:
            return entries
        assert page.next_cursor != cursor
        cursor = page.next_cursor


instants = st.none() | st.integers(-1, 21).map(lambda number: NOON + timedelta(microseconds=number))
filters = st.builds(
    AuditFilter,
    workspace_id=st.sampled_from(WORKSPACES),
    account_id=st.none() | st.sampled_from((*ACCOUNTS, "sa_nobody")),
    actor=st.none() | st.sampled_from((*ACTORS, "operator")),
    action=st.none() | st.sampled_from((*ACTIONS, Action.KEY_REVOKE)),
    outcome=st.none() | st.sampled_from(OUTCOMES),
    since=instants,
    until=instants,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=filters, limit=st.integers(1, 70))
def test_the_pages_together_are_what_the_filters_say(log: Database, wanted: AuditFilter, limit: int) -> None:
    def fits(entry: dict[str, Any]) -> bool:
        same = ("workspace_id", "account_id", "actor", "action", "outcome")
        return (
            all(getattr(wanted, name) in (None, entry[name]) for name in same)
            and (wanted.since is None or wanted.since <= entry["at"])
            and (wanted.until is None or entry["at"] < wanted.until)
        )

    expected = sorted(filter(fits, ENTRIES), key=lambda entry: (entry["at"], entry["id"]), reverse=True)
    assert [entry.id for entry in all_of(log, wanted, limit)] == [entry["id"] for entry in expected]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actor=st.none() | st.sampled_from(ACTORS), rows_at_once=st.integers(1, 70))
def test_all_workspaces_together_are_in_one_order(log: Database, actor: str | None, rows_at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "_ROWS_AT_ONCE", rows_at_once)
        found = [row.id for row in read_all(log, [AuditFilter(one, actor=actor) for one in WORKSPACES])]

    expected = sorted(ENTRIES, key=lambda entry: (entry["at"], entry["id"]), reverse=True)
    assert found == [entry["id"] for entry in expected if actor in (None, entry["actor"])]


def test_an_entry_is_told_as_it_was_recorded(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(workspaces).values(id="ws_1", name="Acme", created_at=NOON))
        refused = AuditEntry(
            "ws_1",
            "cs_1",
            Action.ACCOUNT_RECONNECT,
            AuditOutcome.FAILED,
            account_id="sa_1",
            target="pr_1",
            cause="unauthorized",
            request_id="req_1",
        )
        audit.record(connection, [refused])
    (entry,) = all_of(database, AuditFilter("ws_1"), 10)

    assert entry.model_dump(mode="json", exclude={"id", "at"}) == {
        "actor": "cs_1",
        "actor_type": "connect_session",
        "action": "account.reconnect",
        "account_id": "sa_1",
        "target": "pr_1",
        "outcome": "failed",
        "cause": "unauthorized",
        "request_id": "req_1",
    }
    assert abs((datetime.now(UTC) - entry.at).total_seconds()) < 60
