"""Every statement of every repository function, explained by both databases on tables as they are after some months.

What a statement reads must not grow with its tables: no scan of a table, no sort of one, only index look-ups.
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from connections import repository
from connections.audit import Action, AuditEntry
from connections.connect_sessions.intake import SessionCommand
from connections.contract import AccountStatus, Issue, RejectedRow, TaskStatus
from connections.db import Database
from connections.events import Event, EventType
from connections.ids import new_id
from connections.repository import (
    account_pages,
    accounts,
    at_once,
    attempts,
    audit,
    batch_intake,
    batches,
    connect_sessions,
    deliveries,
    disconnecting,
    dispatch,
    ending,
    idempotency,
    keys,
    linking,
    observing,
    outbox,
    profiles,
    reconnecting,
    refreshing,
    retention,
    retiring,
    session_requests,
    sweeping,
    tasks,
    webhooks,
    workspaces,
)
from connections.vault import EncryptedSession
from connections.webhooks.contract import DeliveryStatus
from tests.factories import Shown
from tests.integration.connections.rows import BATCH, Size, digest, fill
from tests.servers import Postgres

SIZE = Size()
OPEN = "ct_1"
OPEN_WORKSPACE = "ws_1"
# More than any caller asks for at once, and far less than there are rows.
MOST_ROWS = 1000

OUTCOME: dict[str, Any] = {"error": None}
KEYED = idempotency.KeyedRequest("ws_1", "connect", digest(1), digest(1))


NEW_ACCOUNT = accounts.NewAccount(
    "sa_new",
    "ws_1",
    "pr_1",
    "bluesky",
    "did:plc:new",
    "a.test",
    None,
    None,
    "https://p",
    EncryptedSession("key1", b"key1.access", b"key1.refresh"),
)


def new_task(connection: Connection) -> object:
    return tasks.insert_task(
        connection,
        task_id="ct_new",
        workspace_id="ws_1",
        profile_id="pr_1",
        platform="bluesky",
        queue="connect",
        request_id="req_1",
        sealed_credentials=b"key1.sealed",
        fingerprint=digest(-1),
        reply_to=None,
        caller_waits=None,
        max_attempts=5,
        expires_in=60,
        sweep_in=10,
        key_id="key_1",
    )


def new_api_key(connection: Connection) -> None:
    workspaces.insert_api_key(
        connection,
        key_id=new_id("key"),
        workspace_id="ws_1",
        name="key",
        prefix="up_test_new",
        secret_hash=digest(1),
        expires_in=None,
    )


def prune(connection: Connection) -> object:
    return [
        retention.delete_batch(connection, one, limit=200)
        for one in retention.retentions(task_seconds=30 * 86400.0, audit_seconds=365 * 86400.0)
    ]


EXCHANGED = (keys.WEBHOOK_SECRETS, keys.ACCOUNT_TOKENS, keys.RETIRED_TOKENS)


def exchange(connection: Connection) -> None:
    for secrets in EXCHANGED:
        rows = keys.secret_rows(connection, secrets, "key1", after="", limit=100)
        keys.replace_secrets(connection, secrets, [(row, row) for row in rows], key_id="key2")


ARRIVING = batch_intake.StagedBatch("cb_new", "ws_1", "key_1", "bluesky", "req_1", 60.0)
STAGED = [batch_intake.StagedRow(f"ct_new_{n}", n, "pr_1", None, "", b"key1.sealed", digest(-n)) for n in range(1, 4)]
REFUSED = [RejectedRow(row=4, issues=[Issue(field="row", code="invalid_json", message="No.")])]


def stage_and_take_back(connection: Connection) -> None:
    batch_intake.insert_batch(connection, ARRIVING)
    batch_intake.stage_rows(connection, ARRIVING, STAGED)
    batch_intake.stage_rejections(connection, ARRIVING, REFUSED)
    batch_intake.delete_staged(connection, ARRIVING.id, first=1, last=500)
    batch_intake.delete_batch_arriving(connection, ARRIVING.id)


def account_pages_by_all_filters(connection: Connection) -> None:
    wanted = account_pages.AccountFilter
    for one in (
        wanted(),
        wanted(platform="bluesky", status=AccountStatus.DISCONNECTED),
        wanted(platform="bluesky", profile_id="pr_1"),
        wanted(profile_id="pr_1", status=AccountStatus.ACTIVE),
        wanted(external_user_id="user_5", profile_id="pr_5"),
        wanted(external_user_id="user_5", status=AccountStatus.ACTIVE),
    ):
        account_pages.account_page(connection, "ws_1", one, before=None, limit=100)
        account_pages.account_page(connection, "ws_1", one, before="sa_9", limit=100)


ENTRY = AuditEntry("ws_1", "key_1", Action.ACCOUNT_CONNECT, account_id="sa_1")
ASKED = session_requests.NewSessionRequest("sq_new", "ws_1", "sa_1", "key_1", "req_1", digest(1), 300, "shim_1", None)
FILTERS: tuple[dict[str, str], ...] = (
    {},
    {"account_id": "sa_1"},
    {"actor": "key_1"},
    {"actor": "nobody"},
    {"action": "account.connect"},
    {"action": "key.revoke"},
    {"outcome": "failed"},
    {"outcome": "succeeded"},
    {"actor": "key_1", "action": "account.connect", "outcome": "failed"},
    {"action": "account.connect", "outcome": "failed"},
)


def audit_pages(connection: Connection) -> None:
    """Each filter alone and some together, from the latest entry and from further down."""
    now = datetime.now(UTC)
    since, until, far_down = now - timedelta(days=50), now - timedelta(days=5), now - timedelta(days=30)
    for given, before in product(FILTERS, (None, audit.Position(far_down, "al_1"))):
        wanted = audit.AuditFilter("ws_1", since=since, until=until, **given)
        audit.audit_page(connection, wanted, before=before, limit=100)


NEW_SESSION = connect_sessions.NewSession(
    "cs_new", "ws_1", "pr_1", "key_1", digest(-1), SessionCommand("bluesky", "user_1")
)
EVENT = Event("ws_1", EventType.ACCOUNT_CONNECTED, "sa_1", Shown(id="sa_1"))

# `wh_40` has what is due.
SECRET = webhooks.SealedSecret(b"key1.sealed", "whsec_…1234")
ATTEMPT = deliveries.Attempt("wd_40", 0, 503, "server_error")


def new_webhook(connection: Connection) -> None:
    webhooks.insert_webhook(
        connection,
        webhook_id="wh_new",
        workspace_id="ws_1",
        name="hook",
        url="https://receiver.test/",
        events=["*"],
        active=True,
        secret=SECRET,
    )


# A key that is to be retired is needed by few rows; `count_…` below is about one that all rows need.
def store_at_once(connection: Connection) -> None:
    if at_once.can_store_at_once(connection.dialect.name):
        ended = attempts.EndedTask(OPEN, 1, OUTCOME)
        at_once.store_at_once(connection, ended, NEW_ACCOUNT, ENTRY, connected_at=datetime.now(UTC))
    else:
        accounts.insert_account(connection, NEW_ACCOUNT)


CALLS: dict[Callable[..., object], Callable[[Connection], object]] = {
    account_pages.account_page: account_pages_by_all_filters,
    account_pages.account_of: lambda c: account_pages.account_of(c, "ws_1", "sa_1"),
    account_pages.account_health: lambda c: account_pages.account_health(c, "ws_1", "sa_1"),
    accounts.insert_account: lambda c: accounts.insert_account(c, NEW_ACCOUNT),
    at_once.store_at_once: store_at_once,
    accounts.insert_accounts: lambda c: accounts.insert_accounts(c, [NEW_ACCOUNT], connected_at=datetime.now(UTC)),
    accounts.connected_names: lambda c: accounts.connected_names(
        c, "ws_1", "bluesky", [f"person{n}.test" for n in range(16)]
    ),
    accounts.place_of: lambda c: accounts.place_of(c, "ws_1", "sa_1"),
    linking.linked_user: lambda c: linking.linked_user(c, "cs_1"),
    linking.complete_connect_session: lambda c: linking.complete_connect_session(c, "cs_1", "sa_1"),
    accounts.lock_account: lambda c: accounts.lock_account(c, "ws_1", "sa_1"),
    reconnecting.is_left_since: lambda c: reconnecting.is_left_since(c, "sa_1", datetime.now(UTC)),
    reconnecting.replace_session: lambda c: reconnecting.replace_session(c, replace(NEW_ACCOUNT, id="sa_1")),
    accounts.connected_account: lambda c: accounts.connected_account(c, "ws_1", "bluesky", "did:plc:1"),
    audit.audit_page: audit_pages,
    audit.record: lambda c: audit.record(c, [ENTRY]),
    batch_intake.known_profiles: lambda c: batch_intake.known_profiles(c, "ws_1", [f"pr_{n}" for n in range(500)]),
    batch_intake.insert_batch: lambda c: batch_intake.insert_batch(c, ARRIVING),
    batch_intake.stage_rows: lambda c: batch_intake.stage_rows(c, ARRIVING, STAGED),
    batch_intake.stage_rejections: lambda c: batch_intake.stage_rejections(c, ARRIVING, REFUSED),
    batch_intake.accept_batch: lambda c: batch_intake.accept_batch(c, BATCH, total=4, has_tasks=True),
    batch_intake.accepted_batch: lambda c: batch_intake.accepted_batch(c, BATCH),
    batch_intake.delete_staged: stage_and_take_back,
    batch_intake.delete_batch_arriving: stage_and_take_back,
    connect_sessions.insert_connect_session: lambda c: connect_sessions.insert_connect_session(c, NEW_SESSION),
    connect_sessions.connect_session_of: lambda c: connect_sessions.connect_session_of(c, "ws_1", "cs_1"),
    connect_sessions.visited_session: lambda c: connect_sessions.visited_session(c, digest(1)),
    connect_sessions.count_attempt: lambda c: connect_sessions.count_attempt(c, "cs_1", made=0, task_id="ct_1"),
    connect_sessions.follow_task: lambda c: connect_sessions.follow_task(c, "cs_1", task_id="ct_1"),
    batches.batch_of: lambda c: batches.batch_of(c, "ws_1", BATCH),
    batches.tallies: lambda c: batches.tallies(c, BATCH, lately=60),
    batches.rejection_tallies: lambda c: batches.rejection_tallies(c, BATCH),
    batches.results: lambda c: batches.results(c, BATCH, after=5000, limit=500),
    batches.mark_canceled: lambda c: batches.mark_canceled(c, "ws_1", BATCH),
    batches.end_canceled: lambda c: batches.end_canceled(c, BATCH, 300),
    deliveries.waiting_webhooks: lambda c: deliveries.waiting_webhooks(c, after="", steps=50),
    deliveries.receiver: lambda c: deliveries.receiver(c, "wh_40"),
    deliveries.claim_deliveries: lambda c: deliveries.claim_deliveries(c, "wh_40", limit=10, lease=30),
    deliveries.give_back_deliveries: lambda c: deliveries.give_back_deliveries(c, [("wd_40", 0)]),
    deliveries.end_delivery: lambda c: deliveries.end_delivery(c, ATTEMPT, DeliveryStatus.DEAD),
    deliveries.postpone_delivery: lambda c: deliveries.postpone_delivery(c, ATTEMPT, delay=5),
    deliveries.expired_deliveries: lambda c: deliveries.expired_deliveries(c, limit=100),
    deliveries.bury_deliveries: lambda c: deliveries.bury_deliveries(c, [41]),
    deliveries.drop_deliveries: lambda c: deliveries.drop_deliveries(c, "wh_40", limit=100),
    deliveries.oldest_pending: deliveries.oldest_pending,
    deliveries.deliveries_of: lambda c: deliveries.deliveries_of(c, "wh_40", before=20_000, limit=101, status=None),
    deliveries.delivery_of: lambda c: deliveries.delivery_of(c, "wh_40", "wd_40"),
    deliveries.dead_deliveries: lambda c: deliveries.dead_deliveries(c, "wh_1", limit=100),
    deliveries.replay_deliveries: lambda c: deliveries.replay_deliveries(c, [2]),
    disconnecting.disconnect_account: lambda c: disconnecting.disconnect_account(c, "sa_1"),
    dispatch.open_batches: dispatch.open_batches,
    dispatch.waiting_rows: lambda c: dispatch.waiting_rows(c, [BATCH], count_to=500),
    dispatch.rows_on_their_way: dispatch.rows_on_their_way,
    dispatch.due_rows: lambda c: dispatch.due_rows(c, BATCH, "", limit=200),
    dispatch.mark_sent: lambda c: dispatch.mark_sent(c, [OPEN], sweep_in=30),
    dispatch.note_wait: lambda c: dispatch.note_wait(c, BATCH, {"reason": "capacity"}),
    dispatch.finish_batch: lambda c: dispatch.finish_batch(c, BATCH),
    ending.claim_session: lambda c: ending.claim_session(c, lease=40),
    ending.forget_session: lambda c: ending.forget_session(c, "rs_1", fence=0),
    ending.postpone_session: lambda c: ending.postpone_session(c, "rs_1", fence=0, delay=1),
    ending.sessions_to_end: ending.sessions_to_end,
    idempotency.first_use: lambda c: idempotency.first_use(c, KEYED),
    idempotency.insert_use: lambda c: idempotency.insert_use(c, KEYED, resource_id="ct_1", request_id="req_1"),
    keys.keys_in_use: keys.keys_in_use,
    keys.keys_of: lambda c: [keys.keys_of(c, secrets) for secrets in (*keys.SEALED, *keys.ENCRYPTED)],
    keys.count_secrets: lambda c: [
        keys.count_secrets(c, secrets, "key1") for secrets in (*keys.SEALED, *keys.ENCRYPTED)
    ],
    keys.secret_rows: lambda c: [keys.secret_rows(c, secrets, "key1", after="", limit=100) for secrets in EXCHANGED],
    keys.replace_secrets: exchange,
    observing.in_flight_by_queue: observing.in_flight_by_queue,
    observing.sweep_lag: observing.sweep_lag,
    observing.running_batches: lambda c: observing.running_batches(c, 10),
    batches.running_batch_rows: batches.running_batch_rows,
    observing.waiting_by_host: lambda c: observing.waiting_by_host(c, [BATCH]),
    observing.endings: lambda c: observing.endings(c, seconds=30 * 86400.0, count_to=500),
    observing.task_story: lambda c: observing.task_story(c, OPEN),
    outbox.emit: lambda c: outbox.emit(c, [EVENT]),
    refreshing.seconds_overdue: refreshing.seconds_overdue,
    refreshing.claim_due_accounts: lambda c: [
        refreshing.claim_due_accounts(c, limit=20, lease=60),
        refreshing.claim_due_accounts(c, limit=20, lease=60, due_within=3600),
    ],
    refreshing.claim_account: lambda c: refreshing.claim_account(c, "sa_1", fence=0, lease=60, longest_lease=240),
    refreshing.lock_claimed: lambda c: refreshing.lock_claimed(c, "sa_1", fence=0),
    refreshing.replace_refreshed: lambda c: refreshing.replace_refreshed(
        c,
        "sa_1",
        NEW_ACCOUNT.session,
        account_name="a.test",
        host="https://p",
        access_expires_at=None,
        refresh_in=60,
        error=None,
    ),
    refreshing.give_up_session: lambda c: refreshing.give_up_session(
        c, "sa_1", fence=0, cause="session_ended", error=OUTCOME
    ),
    refreshing.note_refresh_failure: lambda c: refreshing.note_refresh_failure(
        c, "sa_1", fence=0, retry_in=60, error=OUTCOME
    ),
    refreshing.put_off_refreshes: lambda c: refreshing.put_off_refreshes(c, [("sa_1", 0, 60.0), ("sa_2", 0, 60.0)]),
    refreshing.session_on_file: lambda c: refreshing.session_on_file(c, "sa_1", "ws_1"),
    refreshing.tokens_in_grace: lambda c: refreshing.tokens_in_grace(c, "sa_1"),
    refreshing.retire_unkept: lambda c: refreshing.retire_unkept(
        c, "sa_1", platform="bluesky", host="https://p", refresh_token=b"key1.r", token_key="key1"
    ),
    retention.delete_batch: prune,
    session_requests.owns_account: lambda c: session_requests.owns_account(c, "ws_1", "sa_1"),
    session_requests.insert_session_request: lambda c: session_requests.insert_session_request(c, ASKED, expires_in=25),
    session_requests.claim_session_request: lambda c: session_requests.claim_session_request(c, "sq_0", lease=11),
    session_requests.overdue_session_request: lambda c: session_requests.overdue_session_request(c, late=1),
    session_requests.finish_session_request: lambda c: session_requests.finish_session_request(
        c, "sq_0", sealed_session=b"sealed"
    ),
    session_requests.answered_session_requests: lambda c: session_requests.answered_session_requests(
        c, [f"sq_{n}" for n in range(500)]
    ),
    session_requests.take_session_request: lambda c: session_requests.take_session_request(c, "sq_1"),
    retiring.retire_sessions: lambda c: retiring.retire_sessions(c, "sa_1"),
    tasks.insert_task: new_task,
    tasks.task_in_flight: lambda c: tasks.task_in_flight(c, OPEN_WORKSPACE, digest(1)),
    tasks.make_patient: lambda c: tasks.make_patient(c, OPEN, max_attempts=12, expires_in=3600),
    tasks.task_of: lambda c: tasks.task_of(c, OPEN_WORKSPACE, OPEN),
    tasks.finished_tasks: lambda c: tasks.finished_tasks(c, [f"ct_{SIZE.tasks - n}" for n in range(500)]),
    attempts.claim_tasks: lambda c: attempts.claim_tasks(c, [OPEN, "ct_1"], lease=30, sweep_in=31),
    attempts.unclaim_tasks: lambda c: attempts.unclaim_tasks(c, [(OPEN, 1), ("ct_1", 1)]),
    attempts.succeed_tasks: lambda c: attempts.succeed_tasks(c, [attempts.EndedTask(OPEN, 1, OUTCOME)]),
    attempts.finish_task: lambda c: attempts.finish_task(c, OPEN, fence=1, status=TaskStatus.FAILED, outcome=OUTCOME),
    tasks.extend_wait: lambda c: tasks.extend_wait(c, OPEN, seconds=25, reply_to="shim_1"),
    attempts.has_succeeded: lambda c: attempts.has_succeeded(c, OPEN, fence=1),
    attempts.postpone_task: lambda c: attempts.postpone_task(
        c, OPEN, fence=1, attempts=1, delay=1, sweep_in=2, outcome=OUTCOME
    ),
    attempts.release_task: lambda c: attempts.release_task(c, OPEN, fence=1),
    sweeping.give_back: lambda c: sweeping.give_back(c, [OPEN]),
    sweeping.due_tasks: lambda c: sweeping.due_tasks(c, limit=100),
    sweeping.mark_swept: lambda c: sweeping.mark_swept(c, [OPEN], sweep_in=10),
    webhooks.count_webhooks: lambda c: webhooks.count_webhooks(c, "ws_1"),
    webhooks.insert_webhook: new_webhook,
    webhooks.webhooks_of: lambda c: webhooks.webhooks_of(c, "ws_1"),
    webhooks.webhook_of: lambda c: webhooks.webhook_of(c, "ws_1", "wh_1"),
    webhooks.find_webhook: lambda c: webhooks.find_webhook(c, "wh_1"),
    webhooks.update_webhook: lambda c: webhooks.update_webhook(c, "ws_1", "wh_1", {"url": "https://other.test/"}),
    webhooks.delete_webhook: lambda c: webhooks.delete_webhook(c, "ws_1", "wh_1"),
    webhooks.note_answer: lambda c: webhooks.note_answer(c, "wh_1"),
    webhooks.note_failure: lambda c: webhooks.note_failure(c, "wh_1"),
    webhooks.pause_webhook: lambda c: webhooks.pause_webhook(c, "wh_1", seconds=5),
    webhooks.take_probe: lambda c: webhooks.take_probe(c, "wh_1", lease=30),
    webhooks.end_pause: lambda c: webhooks.end_pause(c, "wh_1"),
    profiles.profile_of: lambda c: profiles.profile_of(c, "ws_1", "pr_1"),
    profiles.profile_page: lambda c: profiles.profile_page(c, "ws_1", before="pr_9", limit=100),
    profiles.profile_named: lambda c: profiles.profile_named(c, "ws_1", "Brand 1"),
    profiles.change_profile: lambda c: profiles.change_profile(c, "pr_1", {"name": "Acme"}),
    profiles.lock_profile: lambda c: profiles.lock_profile(c, "ws_1", "pr_1"),
    profiles.use_of_profile: lambda c: profiles.use_of_profile(c, "ws_1", "pr_1"),
    profiles.mark_profile_deleted: lambda c: profiles.mark_profile_deleted(c, "pr_1"),
    profiles.workspace_of: lambda c: profiles.workspace_of(c, "ws_1"),
    profiles.lock_workspace: lambda c: profiles.lock_workspace(c, "ws_1"),
    profiles.change_workspace: lambda c: profiles.change_workspace(c, "ws_1", {"name": "Acme"}),
    workspaces.insert_workspace: lambda c: workspaces.insert_workspace(c, workspace_id="ws_new", name="Acme"),
    workspaces.insert_profile: lambda c: workspaces.insert_profile(
        c, profile_id="pr_new", workspace_id="ws_1", name="Default"
    ),
    workspaces.find_workspace: lambda c: workspaces.find_workspace(c, "Acme 1"),
    workspaces.all_workspaces: workspaces.all_workspaces,
    workspaces.profiles_of: lambda c: workspaces.profiles_of(c, "ws_1"),
    workspaces.profile_ids: lambda c: workspaces.profile_ids(c, "ws_1", limit=2),
    workspaces.workspaces_called: lambda c: workspaces.workspaces_called(c, "Acme 1"),
    workspaces.keep_profiles: lambda c: workspaces.keep_profiles(c, "ws_1", ["pr_1"]),
    workspaces.has_profile: lambda c: workspaces.has_profile(c, "ws_1", "pr_1"),
    workspaces.insert_api_key: new_api_key,
    workspaces.api_key_by_prefix: lambda c: workspaces.api_key_by_prefix(c, "up_test_1"),
    workspaces.api_keys_of: lambda c: workspaces.api_keys_of(c, "ws_1"),
    workspaces.api_keys_named: lambda c: workspaces.api_keys_named(c, [f"key_{n}" for n in range(50)]),
    workspaces.note_use: lambda c: workspaces.note_use(c, "key_1"),
    workspaces.revoke_api_key: lambda c: workspaces.revoke_api_key(c, "up_test_1"),
}

RUNS_NO_STATEMENT = {
    "account_values",
    "can_store_at_once",
    "ending",
    "entry_values",
    "insert_into",
    "is_listening",
    "retentions",
    "row_address",
}

EXCEPTIONS = {
    batch_intake.accepted_batch: "reads the refused rows of one batch; a batch has an upper limit",
    batches.tallies: "counts the rows of one batch, in their index; a batch has an upper limit",
    batches.rejection_tallies: "counts the refused rows of one batch; a batch has an upper limit",
    keys.count_secrets: "a report for the operator counts all rows of a key, in its index",
    connect_sessions.visited_session: "joins a workspace; workspaces are made by hand and stay few",
    observing.in_flight_by_queue: "a report for the operator counts all rows in flight, in their index",
    observing.running_batches: "counts the rows of some batches, in their index; a batch has an upper limit",
    observing.task_story: "joins a workspace; workspaces are made by hand and stay few",
    webhooks.count_webhooks: "locks a workspace; workspaces are made by hand and stay few",
    profiles.workspace_of: "looks up a workspace; workspaces are made by hand and stay few",
    profiles.lock_workspace: "looks up a workspace; workspaces are made by hand and stay few",
    profiles.change_workspace: "looks up a workspace; workspaces are made by hand and stay few",
    profiles.use_of_profile: "counts the rows in flight, in their index; profiles are deleted by hand",
    workspaces.workspaces_called: "somebody typed a name; workspaces are made by hand and stay few",
    workspaces.find_workspace: "somebody typed a name; workspaces are made by hand and stay few",
    workspaces.all_workspaces: "a list for the operator; workspaces are made by hand and stay few",
    workspaces.profiles_of: "a list for the operator, in its index; profiles are made by hand, too",
}

Statement = tuple[str, Any]


def public_functions() -> set[str]:
    found = set()
    for info in pkgutil.iter_modules(repository.__path__, f"{repository.__name__}."):
        module = import_module(info.name)
        for name, value in inspect.getmembers(module, inspect.isfunction):
            if value.__module__ == info.name and not name.startswith("_"):
                found.add(name)
    return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, migrated_sqlite: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A full one; every test rolls back what it does."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("full") / "connector.db"
        path.write_bytes(migrated_sqlite)
        url = f"sqlite:///{path}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.create("full", template="migrated")
    database = Database(url, transaction_seconds=120)
    with database.write() as connection:
        fill(connection, SIZE)
    with database.write() as connection:
        if request.param == "postgresql":  # which does so by itself in time; SQLite never does
            connection.execute(text("ANALYZE"))
    yield database
    database.close()
    if request.param == "postgresql":
        postgres.drop("full")


def statements_of(connection: Connection, call: Callable[[Connection], object]) -> list[Statement]:
    """What the call executes, with the parameters of the first of many."""
    executed: list[Statement] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, is_many: bool) -> None:
        executed.append((statement, parameters[0] if is_many else parameters))

    event.listen(connection, "before_cursor_execute", listen)
    with connection.begin_nested() as savepoint:
        call(connection)
        savepoint.rollback()
    event.remove(connection, "before_cursor_execute", listen)
    return [one for one in executed if not one[0].startswith(("SAVEPOINT", "ROLLBACK", "RELEASE"))]


def read_too_much(connection: Connection, statements: list[Statement]) -> list[str]:
    explain = {"sqlite": _of_sqlite, "postgresql": _of_postgres}[connection.dialect.name]
    with connection.begin_nested() as savepoint:
        found = [finding for one in statements for finding in explain(connection, *one)]
        savepoint.rollback()
    return found


def _of_sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    steps = [str(row.detail) for row in plan]
    connection.exec_driver_sql(statement, parameters)  # what the next statement of the same call builds on
    is_scan = ("SCAN", "USE TEMP B-TREE")
    harmless = ("SCAN over", "SCAN due", "SCAN in_it", "SCAN CONSTANT ROW")
    return [step for step in steps if step.startswith(is_scan) and not step.startswith(harmless)]


def _of_postgres(connection: Connection, statement: str, parameters: Any) -> list[str]:
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar_one()
    return [finding for node in _nodes(explained[0]["Plan"]) for finding in _findings(node)]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _findings(node: dict[str, Any]) -> Iterator[str]:
    kind, name = node["Node Type"], node.get("Index Name") or node.get("Relation Name") or ""
    if kind == "Seq Scan":
        yield f"Seq Scan on {name}"
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    if (rows := (node["Actual Rows"] + removed) * node["Actual Loops"]) > MOST_ROWS:
        yield f"{kind} {name} reads {rows:.0f} rows"


def test_every_public_function_is_explained() -> None:
    assert {call.__name__ for call in CALLS} == public_functions() - RUNS_NO_STATEMENT


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_what_a_statement_reads_does_not_grow_with_its_tables(
    function: Callable[..., object], database: Database
) -> None:
    with database.write() as connection:
        statements = statements_of(connection, CALLS[function])
        assert statements
        found = read_too_much(connection, statements)
        connection.rollback()

    if function in EXCEPTIONS:
        assert found or database.engine.dialect.name == "sqlite", "this is no exception any more"
    else:
        assert found == []


def test_a_scan_would_be_found(database: Database) -> None:
    scans = ["SELECT id FROM connect_tasks WHERE request_id = 'x'", "SELECT id FROM accounts ORDER BY host LIMIT 1"]
    with database.write() as connection:
        for scan in scans:
            assert read_too_much(connection, [(scan, ())])
