"""Exchanging the keys under a running service, on SQLite and on Postgres."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, text, update

from connections import rotation
from connections.db import Database
from connections.ids import new_id
from connections.models import HAS_CREDENTIALS, HAS_TOKENS, accounts, connect_tasks, retired_sessions, webhooks
from connections.repository import keys
from connections.repository.accounts import NewAccount, insert_account
from connections.repository.disconnecting import disconnect_account
from connections.repository.keys import Secrets
from connections.repository.retiring import retire_sessions
from connections.rotation import GRACE, KeyReport, KeyState
from connections.service import ConnectService
from connections.settings import Environment, Settings
from connections.settlement import Settlement
from connections.vault import (
    Cell,
    FileKeyStore,
    Followed,
    KeyStore,
    Opener,
    SealedFor,
    Sealer,
    ShimKeys,
    TokenCipher,
    WorkerKeys,
    generate_keys,
    key_id_of,
)
from connections.verified import Session
from tests.factories import Tenant, connect_command, make_tenant, verified
from tests.keystores import EnvelopeKeyStore

NOW = datetime.now(UTC)
LATER = NOW + GRACE

_numbers = itertools.count()


class Bench:
    """A workspace with accounts and tasks under the keys of a store."""

    def __init__(self, store: KeyStore, database: Database, settings: Settings) -> None:
        generate_keys(store, Environment.DEVELOPMENT)
        self.store = store
        self.database = database
        self.tenant: Tenant = make_tenant(database)
        ring = Followed(store.load_ring, every=0.0)
        self.cipher = TokenCipher(ring)
        self.service = ConnectService(database, Sealer(Followed(store.load_excerpt, every=0.0)), settings)
        self.settlement = Settlement(database, Opener(ring), self.cipher, lease_seconds=30)

    def add_accounts(self, count: int, cipher: TokenCipher | None = None) -> list[str]:
        ids = [new_id("sa") for _ in range(count)]
        with self.database.write() as connection:
            for account_id in ids:
                session = Session(f"access {account_id}", f"refresh {account_id}")
                account = NewAccount(
                    id=account_id,
                    workspace_id=self.tenant.workspace_id,
                    profile_id=self.tenant.profile_ids[0],
                    platform="bluesky",
                    external_id=f"did:plc:{account_id}",
                    account_name=None,
                    display_name=None,
                    avatar_url=None,
                    host="https://pds.test",
                    session=(cipher or self.cipher).encrypt_session(account_id, session),
                )
                assert insert_account(connection, account)
        return ids

    def retire_session(self, cipher: TokenCipher | None = None) -> str:
        """The id of a session that an account has left."""
        (account_id,) = self.add_accounts(1, cipher)
        with self.database.write() as connection:
            retire_sessions(connection, account_id)
            disconnect_account(connection, account_id)
            query = select(retired_sessions.c.id).where(retired_sessions.c.account_id == account_id)
            session_id: str = connection.execute(query).scalar_one()
        return session_id

    def add_webhook(self, **values: object) -> str:
        webhook_id = new_id("wh")
        bound_to = SealedFor(task_id=webhook_id, workspace_id=self.tenant.workspace_id)
        sealed = Sealer(self.store.load_excerpt()).seal({"secret": f"canary {webhook_id}"}, bound_to)
        row = {
            "id": webhook_id,
            "workspace_id": self.tenant.workspace_id,
            "name": "hook",
            "url": "https://receiver.test",
            "events": [],
            "active": True,
            "sealed_secret": sealed,
            "sealing_key": key_id_of(sealed),
            "secret_preview": "…",
            "created_at": NOW,
            "updated_at": NOW,
        }
        with self.database.write() as connection:
            connection.execute(webhooks.insert().values({**row, **values}))
        return webhook_id

    def check_others(self) -> tuple[list[str | None], list[str]]:
        """Every retired token decrypts and every webhook's secret opens. Gives the keys of both, as their rows say."""
        opener = Opener(self.store.load_ring())
        with self.database.read() as connection:
            sessions = connection.execute(select(retired_sessions)).all()
            hooks = connection.execute(select(webhooks).where(webhooks.c.deleted_at.is_(None))).all()
        for row in sessions:
            token = self.cipher.decrypt(row.refresh_token, Cell(row.account_id, "refresh_token"))
            assert token == f"refresh {row.account_id}"
            assert row.token_key in (None, key_id_of(row.refresh_token))
        for row in hooks:
            opened = opener.open(row.sealed_secret, SealedFor(task_id=row.id, workspace_id=row.workspace_id))
            assert opened == {"secret": f"canary {row.id}"}
            assert row.sealing_key == key_id_of(row.sealed_secret)
        return [row.token_key for row in sessions], [row.sealing_key for row in hooks]

    def accept(self) -> str:
        command = connect_command(f"person{next(_numbers)}.test")
        return self.service.accept(self.tenant.caller, command, request_id="r", reply_to="s", wait=0).task_id

    def settle(self, task_id: str) -> None:
        task = self.settlement.claim(task_id)
        assert task is not None
        opened = self.settlement.open_credentials(task)
        assert self.settlement.succeed(task, verified(f"did:plc:{task_id}", opened.identifier))

    def rotate(self, *, now: datetime = NOW) -> list[str]:
        """One round, as `connector keys rotate` makes it. Returns what was removed from the ring."""
        rotation.begin(self.store, self.database, now=now)
        rotation.exchange_secrets(self.store, self.database, clock=lambda: now)
        return rotation.retire(self.store, self.database, now=now)

    @property
    def ids(self) -> list[str]:
        return self.store.load_ring().ids

    def states(self, *, now: datetime = NOW) -> dict[str | None, tuple[KeyState, int]]:
        reports: list[KeyReport] = rotation.report(self.store, self.database, now=now)
        return {each.id: (each.state, each.rows) for each in reports}

    def check_tokens(self) -> int:
        """Every stored token decrypts, and its row says with which key."""
        with self.database.read() as connection:
            rows = connection.execute(select(accounts).where(HAS_TOKENS)).all()
        for row in rows:
            for column in ("access_token", "refresh_token"):
                stored = row._mapping[column]
                assert self.cipher.decrypt(stored, Cell(row.id, column)).endswith(("canary", row.id))
                assert stored.startswith(f"{row.token_key}.".encode())
        return len(rows)


@pytest.fixture(params=[FileKeyStore, EnvelopeKeyStore])
def store(request: pytest.FixtureRequest, settings: Settings) -> KeyStore:
    store: KeyStore = request.param(settings)
    return store


@pytest.fixture
def bench(store: KeyStore, database: Database, settings: Settings) -> Bench:
    return Bench(store, database, settings)


@pytest.fixture
def files(database: Database, settings: Settings) -> Bench:
    """Where the kind of store makes no difference."""
    return Bench(FileKeyStore(settings), database, settings)


def test_a_rotation_from_end_to_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH_ROWS", 2)
    bench.add_accounts(5)
    task_id = bench.accept()
    assert bench.states() == {"s1": (KeyState.CURRENT, 1), "t1": (KeyState.CURRENT, 5)}

    assert bench.rotate() == []
    assert bench.states() == {
        "s2": (KeyState.CURRENT, 0),
        "s1": (KeyState.NEEDED, 1),
        "t2": (KeyState.CURRENT, 5),
        "t1": (KeyState.RETIRING, 0),
    }

    assert bench.rotate(now=LATER) == ["t1"]
    bench.settle(task_id)
    assert bench.states(now=LATER)["s1"] == (KeyState.RETIRABLE, 0)
    assert bench.rotate(now=LATER) == ["s1"]

    assert bench.states() == {"s2": (KeyState.CURRENT, 0), "t2": (KeyState.CURRENT, 6)}
    assert bench.check_tokens() == 6
    bench.settle(bench.accept())
    assert bench.store.load_excerpt().sealing.id == "s2"


def test_what_is_running_takes_up_the_new_keys(bench: Bench) -> None:
    before = bench.accept()
    bench.rotate()
    bench.settle(before)
    bench.settle(bench.accept())

    assert bench.states()["t1"][1] == 0
    assert bench.check_tokens() == 2


def test_a_late_writer_is_found_by_the_next_round(files: Bench) -> None:
    late = TokenCipher(files.store.load_ring())
    files.rotate()
    files.add_accounts(1, late)

    assert rotation.retire(files.store, files.database, now=LATER) == ["s1"]
    assert files.rotate(now=LATER) == []
    assert files.rotate(now=LATER + GRACE) == ["t1"]
    assert files.check_tokens() == 1


def test_old_keys_outlive_the_new_ones_by_the_grace_period(files: Bench) -> None:
    rotation.begin(files.store, files.database, now=NOW)

    assert rotation.retire(files.store, files.database, now=LATER - timedelta(seconds=1)) == []
    assert rotation.retire(files.store, files.database, now=LATER) == ["s1", "t1"]


def test_old_keys_outlive_the_last_exchange_by_the_grace_period_whichever_run_looks(
    files: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of many minutes is killed right after its last row. The next finds nothing to exchange."""
    monkeypatch.setattr(rotation, "BATCH_ROWS", 2)
    files.add_accounts(5)
    rotation.begin(files.store, files.database, now=NOW)
    batches = [NOW + timedelta(minutes=minutes) for minutes in (5, 10, 15)]
    dates, gone_through = iter(batches), list[int]()

    def stop_at_the_last(accounts: int) -> None:
        gone_through.append(accounts)
        if sum(gone_through) == 5:
            raise Crash

    with pytest.raises(Crash):
        rotation.exchange_secrets(files.store, files.database, clock=lambda: next(dates), on_batch=stop_at_the_last)

    before = batches[-1] + GRACE - timedelta(seconds=1)
    assert files.rotate(now=before) == []
    assert files.states(now=before)["t1"] == (KeyState.RETIRING, 0)
    assert files.rotate(now=batches[-1] + GRACE) == ["s1", "t1"]


def test_no_row_is_exchanged_before_the_ring_says_so(files: Bench) -> None:
    files.add_accounts(1)
    rotation.begin(files.store, files.database, now=NOW)
    with pytest.raises(Crash):
        rotation.exchange_secrets(CrashingStore(files.store, 1, after=False), files.database, clock=lambda: NOW)

    assert files.states()["t1"] == (KeyState.NEEDED, 1)


def test_the_ring_is_not_written_for_each_batch(files: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH_ROWS", 1)
    files.add_accounts(5)
    rotation.begin(files.store, files.database, now=NOW)
    files.store = counting = CrashingStore(files.store, 0, after=False)

    dates = (NOW + timedelta(seconds=half / 2) for half in itertools.count())
    rotation.exchange_secrets(counting, files.database, clock=lambda: next(dates))

    assert counting.saves == 3  # in two seconds
    assert counting.load_ring().exchanged_at == NOW + timedelta(seconds=2)


def test_an_excerpt_that_came_late_starts_the_grace_period_anew(files: Bench) -> None:
    """The rotation crashed between ring and excerpt, an hour ago: until now the API sealed with the old key."""
    files.store.save_ring(files.store.load_ring().rotated(now=NOW - timedelta(hours=1)))

    assert files.rotate(now=NOW) == []
    assert files.rotate(now=LATER) == ["s1", "t1"]


def test_disconnected_accounts_need_no_key(files: Bench) -> None:
    files.add_accounts(1)
    with files.database.write() as connection:
        connection.execute(update(accounts).values(access_token=None, refresh_token=None))
    rotation.begin(files.store, files.database, now=NOW)

    assert rotation.retire(files.store, files.database, now=LATER) == ["s1", "t1"]


def test_an_account_with_one_token_keeps_it(files: Bench) -> None:
    files.add_accounts(1)
    with files.database.write() as connection:
        connection.execute(update(accounts).values(access_token=None))
    files.rotate()

    with files.database.read() as connection:
        row = connection.execute(select(accounts)).one()
    assert (row.token_key, row.access_token) == ("t2", None)
    assert files.cipher.decrypt(row.refresh_token, Cell(row.id, "refresh_token")) == f"refresh {row.id}"


def test_rows_that_name_no_key_are_not_forgotten(files: Bench) -> None:
    """A process of an older version still runs: it writes secrets without saying under which key."""
    files.add_accounts(2)
    task_id = files.accept()
    with files.database.write() as connection:
        connection.execute(update(accounts).values(token_key=None))
        connection.execute(update(connect_tasks).values(sealing_key=None))
    rotation.begin(files.store, files.database, now=NOW)
    assert files.states()[None] == (KeyState.UNNAMED, 2)
    assert rotation.retire(files.store, files.database, now=LATER) == []

    files.rotate(now=LATER)
    assert files.rotate(now=LATER + GRACE) == ["t1"]
    files.settle(task_id)
    assert files.rotate(now=LATER + GRACE) == ["s1"]
    assert files.check_tokens() == 3


def test_a_key_that_is_lost_is_told_and_its_id_not_given_again(files: Bench) -> None:
    ring = files.store.load_ring()
    files.rotate()
    (account_id,) = files.add_accounts(1)
    files.store.save_ring(ring)  # from a backup
    assert files.states()["t2"] == (KeyState.LOST, 1)

    files.rotate()

    assert files.ids == ["s2", "s1", "t3", "t1"]
    with files.database.read() as connection:
        assert connection.execute(select(accounts.c.id, accounts.c.token_key)).all() == [(account_id, "t2")]


def test_tokens_that_do_not_decrypt_are_told_and_keep_their_key(files: Bench) -> None:
    broken, *_ = files.add_accounts(3)
    with files.database.write() as connection:
        damage = update(accounts).where(accounts.c.id == broken)
        connection.execute(damage.values(access_token=b"t1." + bytes(40)))
    rotation.begin(files.store, files.database, now=NOW)

    done = rotation.exchange_secrets(files.store, files.database, clock=lambda: NOW)

    assert (done.rows, done.unreadable) == (2, (broken,))
    assert rotation.retire(files.store, files.database, now=LATER) == ["s1"]


def test_what_outlives_its_account_comes_under_the_new_keys_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH_ROWS", 2)
    for _ in range(3):
        bench.retire_session()
        bench.add_webhook()
    assert bench.states() == {"s1": (KeyState.CURRENT, 3), "t1": (KeyState.CURRENT, 3)}

    assert bench.rotate() == []
    assert bench.states() == {
        "s2": (KeyState.CURRENT, 3),
        "s1": (KeyState.RETIRING, 0),
        "t2": (KeyState.CURRENT, 3),
        "t1": (KeyState.RETIRING, 0),
    }
    assert bench.rotate(now=LATER) == ["s1", "t1"]
    assert bench.check_others() == (["t2"] * 3, ["s2"] * 3)


def test_each_kind_of_row_keeps_its_key(files: Bench) -> None:
    files.retire_session()
    files.add_webhook()
    rotation.begin(files.store, files.database, now=NOW)

    assert rotation.retire(files.store, files.database, now=LATER) == []
    needed = {
        each.id: {secrets.many: rows for secrets, rows in each.needed_by}
        for each in rotation.report(files.store, files.database, now=LATER)
    }
    assert (needed["s1"], needed["t1"]) == ({"webhooks": 1}, {"retired sessions": 1})


def test_a_webhook_sealed_with_an_old_excerpt_is_found_by_the_next_round(files: Bench) -> None:
    excerpt = files.store.load_excerpt()
    files.rotate()
    current = files.store.load_excerpt()
    files.store.save_excerpt(excerpt)
    files.add_webhook()
    files.store.save_excerpt(current)

    assert rotation.retire(files.store, files.database, now=LATER) == ["t1"]
    assert files.rotate(now=LATER) == []
    assert files.rotate(now=LATER + GRACE) == ["s1"]
    assert files.check_others() == ([], ["s2"])


def test_a_session_whose_key_nobody_knows_is_not_forgotten(files: Bench) -> None:
    files.retire_session()
    with files.database.write() as connection:
        connection.execute(update(retired_sessions).values(token_key=None))
    rotation.begin(files.store, files.database, now=NOW)
    assert files.states()[None] == (KeyState.UNNAMED, 1)

    files.rotate()

    assert files.check_others() == (["t2"], [])


def test_a_webhook_that_was_deleted_needs_no_key(files: Bench) -> None:
    files.add_webhook(deleted_at=NOW, sealed_secret=b"erased")
    files.rotate()

    assert rotation.retire(files.store, files.database, now=LATER) == ["s1", "t1"]


def test_what_does_not_open_is_told_and_keeps_its_key(files: Bench) -> None:
    webhook_id, session_id = files.add_webhook(), files.retire_session()
    with files.database.write() as connection:
        connection.execute(update(webhooks).values(sealed_secret=b"s1." + bytes(80)))
        connection.execute(update(retired_sessions).values(refresh_token=b"t1." + bytes(80)))
    rotation.begin(files.store, files.database, now=NOW)

    done = rotation.exchange_secrets(files.store, files.database, clock=lambda: NOW)

    assert (done.rows, {*done.unreadable}) == (0, {webhook_id, session_id})
    assert rotation.retire(files.store, files.database, now=LATER) == []


def test_who_ends_a_session_or_replaces_a_secret_meanwhile_wins(files: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, rotated, plain = files.retire_session(), files.add_webhook(), files.add_webhook()
    rotation.begin(files.store, files.database, now=NOW)
    bound_to = SealedFor(task_id=rotated, workspace_id=files.tenant.workspace_id)
    new = Sealer(files.store.load_ring().for_shim()).seal({"secret": "a new one"}, bound_to)
    replace = keys.replace_secrets

    def write_first(connection: Connection, secrets: Secrets, *arguments: Any, **named: Any) -> None:
        if secrets is keys.RETIRED_TOKENS:
            connection.execute(delete(retired_sessions).where(retired_sessions.c.id == ended))
        if secrets is keys.WEBHOOK_SECRETS:
            connection.execute(update(webhooks).where(webhooks.c.id == rotated).values(sealed_secret=new))
        replace(connection, secrets, *arguments, **named)

    monkeypatch.setattr(keys, "replace_secrets", write_first)
    rotation.exchange_secrets(files.store, files.database, clock=lambda: NOW)

    with files.database.read() as connection:
        assert connection.execute(select(retired_sessions)).all() == []
        rows = {row.id: row for row in connection.execute(select(webhooks))}
    assert rows[rotated].sealed_secret == new
    assert (rows[plain].sealing_key, key_id_of(rows[plain].sealed_secret)) == ("s2", "s2")


class Crash(Exception):
    """The process is killed here."""


class CrashingStore:
    """Passes everything on, and crashes before or after the nth time something is saved."""

    def __init__(self, store: KeyStore, at: int, *, after: bool) -> None:
        self._store = store
        self._at = at
        self._after = after
        self.saves = 0
        self.ring_name, self.excerpt_name = store.ring_name, store.excerpt_name
        self.poll_seconds = store.poll_seconds

    def load_ring(self) -> WorkerKeys:
        return self._store.load_ring()

    def load_excerpt(self) -> ShimKeys:
        return self._store.load_excerpt()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._store.locked():
            yield

    def save_ring(self, keys: WorkerKeys) -> None:
        with self._crashing():
            self._store.save_ring(keys)

    def save_excerpt(self, keys: ShimKeys) -> None:
        with self._crashing():
            self._store.save_excerpt(keys)

    @contextmanager
    def _crashing(self) -> Iterator[None]:
        self.saves += 1
        is_now = self.saves == self._at
        if is_now and not self._after:
            raise Crash
        yield
        if is_now:
            raise Crash


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "at", [1, 2, 3, 4], ids=["the ring", "the excerpt", "the date of the exchange", "the ring without old keys"]
)
def test_a_crash_at_any_save_is_completed_by_the_next_run(bench: Bench, at: int, after: bool) -> None:
    bench.add_accounts(3)
    task_id = bench.accept()
    whole, bench.store = bench.store, CrashingStore(bench.store, at, after=after)
    with pytest.raises(Crash):
        [bench.rotate(now=now) for now in (NOW, LATER)]
    bench.store = whole

    bench.settle(task_id)
    bench.settle(bench.accept())
    assert bench.check_tokens() == 5
    bench.rotate(now=LATER)
    if bench.store.load_ring().is_rotating:
        bench.rotate(now=LATER + GRACE)
    assert bench.ids == ["s2", "t2"]
    assert bench.store.load_excerpt().sealing.id == "s2"
    bench.settle(bench.accept())
    assert bench.check_tokens() == 6


def test_a_crash_between_two_batches_loses_nothing(files: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH_ROWS", 2)
    files.add_accounts(5)
    rotation.begin(files.store, files.database, now=NOW)

    def stop(_accounts: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.exchange_secrets(files.store, files.database, clock=lambda: NOW, on_batch=stop)
    assert (files.states()["t1"], files.states()["t2"]) == ((KeyState.NEEDED, 3), (KeyState.CURRENT, 2))
    assert files.check_tokens() == 5

    assert rotation.exchange_secrets(files.store, files.database, clock=lambda: NOW).rows == 3
    assert files.check_tokens() == 5


def test_a_run_that_outlives_the_next_rotation_keeps_up_with_it(files: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH_ROWS", 2)
    files.add_accounts(4)
    rotation.begin(files.store, files.database, now=NOW)

    def overtake(_accounts: int) -> None:
        if "t3" not in files.ids:
            files.store.save_ring(files.store.load_ring().rotated(now=NOW))

    rotation.exchange_secrets(files.store, files.database, clock=lambda: NOW, on_batch=overtake)

    assert (files.states()["t2"][1], files.states()["t3"][1]) == (2, 2)


@pytest.mark.parametrize("column", ["access_token", "refresh_token"])
def test_who_writes_a_row_meanwhile_wins(files: Bench, monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    """A token is refreshed, and an account disconnected, between the reading of a batch and its writing."""
    refreshed, disconnected, plain = sorted(files.add_accounts(3))
    rotation.begin(files.store, files.database, now=NOW)
    replace = keys.replace_secrets

    def write_first(connection: object, *arguments: object, **named: object) -> None:
        new = files.cipher.encrypt("new canary", Cell(refreshed, column))
        connection.execute(  # type: ignore[attr-defined]
            update(accounts).where(accounts.c.id == refreshed).values({column: new})
        )
        connection.execute(  # type: ignore[attr-defined]
            update(accounts)
            .where(accounts.c.id == disconnected)
            .values(access_token=None, refresh_token=None, token_key=None)
        )
        replace(connection, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(keys, "replace_secrets", write_first)
    rotation.exchange_secrets(files.store, files.database, clock=lambda: NOW)

    with files.database.read() as connection:
        rows = {row.id: row for row in connection.execute(select(accounts))}
    stored = rows[refreshed]._mapping[column]
    assert files.cipher.decrypt(stored, Cell(refreshed, column)) == "new canary"
    assert (rows[disconnected].access_token, rows[disconnected].token_key) == (None, None)
    assert rows[plain].token_key == "t2"


def test_rotations_at_once_while_accounts_are_connected(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rotate, four connect. Nothing is lost, nothing fails, and one set of keys is left."""
    monkeypatch.setattr(rotation, "BATCH_ROWS", 7)
    bench.add_accounts(40)
    with ThreadPoolExecutor(7) as threads:
        start = threading.Barrier(7)

        def rotate() -> None:
            start.wait()
            bench.rotate()

        def connect() -> None:
            start.wait()
            for _ in range(10):
                bench.settle(bench.accept())

        for job in [threads.submit(rotate) for _ in range(3)] + [threads.submit(connect) for _ in range(4)]:
            job.result(60)

    assert bench.ids == ["s2", "s1", "t2", "t1"]
    assert bench.check_tokens() == 80
    removed = [*bench.rotate(now=LATER), *bench.rotate(now=LATER + GRACE)]  # the second, if some wrote late
    assert sorted(removed) == ["s1", "t1"]
    assert bench.check_tokens() == 80


PLANS = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}


def test_which_rows_need_a_key_is_a_look_up(files: Bench) -> None:
    """The planners must see that the partial indexes serve."""
    files.add_accounts(3)
    files.accept()
    looked_up = {
        "ix_accounts_token_key": select(accounts.c.id)
        .where(HAS_TOKENS, accounts.c.token_key > "t1")
        .order_by(accounts.c.token_key)
        .limit(1),
        "ix_connect_tasks_sealing_key": select(connect_tasks.c.id).where(
            HAS_CREDENTIALS, connect_tasks.c.sealing_key == "s1"
        ),
    }
    with files.database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))  # three rows are quicker read than looked up
        for index, query in looked_up.items():
            sql = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            plan = connection.exec_driver_sql(PLANS[connection.dialect.name] + sql).all()
            assert index in str(plan)
