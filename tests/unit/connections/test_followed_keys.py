"""Keys that are exchanged while a process uses them."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from connections.settings import Environment, SettingsError
from connections.vault import (
    Cell,
    Followed,
    KeyNotHeld,
    Opener,
    SealedFor,
    Sealer,
    TokenCipher,
    UnreadableSecret,
    WorkerKeys,
)
from connections.verified import Session

OLD = WorkerKeys.generate(Environment.DEVELOPMENT)
NEW = OLD.rotated(now=datetime.now(UTC))
TASK = SealedFor("ct_1", "ws_1")
CELL = Cell("sa_1", "access_token")


class Kept:
    """A ring where processes look for it, and a clock that stands still."""

    def __init__(self) -> None:
        self.ring: WorkerKeys | None = OLD
        self.looks = 0
        self.now = 0.0

    def load(self) -> WorkerKeys:
        self.looks += 1
        if self.ring is None:
            raise SettingsError("the ring is gone")
        return self.ring


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def followed(kept: Kept) -> Followed[WorkerKeys]:
    return Followed(kept.load, every=1.0, clock=lambda: kept.now)


def test_a_process_takes_up_a_new_ring_within_a_second(kept: Kept, followed: Followed[WorkerKeys]) -> None:
    kept.ring = NEW
    assert followed.latest() is OLD
    kept.now = 1.0
    with capture_logs() as logs:
        assert followed.latest() is NEW
    assert [(line["event"], line["in_use"]) for line in logs] == [("keys_reloaded", ["s2", "s1", "t2", "t1"])]
    assert kept.looks == 2


def test_a_ring_that_only_got_a_new_date_is_no_news(kept: Kept, followed: Followed[WorkerKeys]) -> None:
    kept.ring, kept.now = OLD.exchanging(now=datetime.now(UTC)), 1.0
    with capture_logs() as logs:
        assert followed.latest() is kept.ring
    assert logs == []


def test_a_secret_under_a_key_not_seen_yet_is_a_reason_to_look_at_once(
    kept: Kept, followed: Followed[WorkerKeys]
) -> None:
    sealed, encrypted = Sealer(NEW.for_shim()).seal({"a": "b"}, TASK), TokenCipher(NEW).encrypt("token", CELL)
    kept.ring = NEW

    assert Opener(followed).open(sealed, TASK) == {"a": "b"}
    assert TokenCipher(followed).decrypt(encrypted, CELL) == "token"
    assert kept.looks == 2


def test_a_key_that_nobody_has_is_not_damage(kept: Kept, followed: Followed[WorkerKeys]) -> None:
    with pytest.raises(KeyNotHeld) as caught:
        Opener(followed).open(Sealer(NEW.for_shim()).seal({}, TASK), TASK)
    assert caught.value.key_id == "s2"
    with pytest.raises(KeyNotHeld):
        TokenCipher(followed).decrypt(TokenCipher(NEW).encrypt("token", CELL), CELL)


@pytest.mark.parametrize("damaged", [b"", b"s1", b".s1.", b"S1.x", b"s1.x", b"s1\n.x", b"0123456789abcdefg.x"])
def test_damage_is_not_a_key_that_nobody_has(followed: Followed[WorkerKeys], damaged: bytes) -> None:
    with pytest.raises(UnreadableSecret) as caught:
        Opener(followed).open(damaged, TASK)
    assert caught.type is UnreadableSecret


def test_a_ring_that_cannot_be_read_leaves_the_last_one_and_one_warning(
    kept: Kept, followed: Followed[WorkerKeys]
) -> None:
    kept.ring = None
    with capture_logs() as logs:
        for now in (1.0, 2.0, 3.0):
            kept.now = now
            assert followed.latest() is OLD
    assert [(line["event"], line["log_level"]) for line in logs] == [("keys_not_reloaded", "warning")]

    kept.ring, kept.now = NEW, 4.0
    assert followed.latest() is NEW


def test_without_keys_at_the_start_there_is_no_start(kept: Kept) -> None:
    kept.ring = None
    with pytest.raises(SettingsError, match="the ring is gone"):
        Followed(kept.load, every=1.0)


class SlowStore(Kept):
    """Its second look ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.looking, self.go_on = threading.Event(), threading.Event()

    def load(self) -> WorkerKeys:
        ring = super().load()
        if self.looks > 1:
            self.looking.set()
            assert self.go_on.wait(10)
        return ring


@pytest.mark.parametrize(("age", "takes"), [(1.0, OLD), (3600.0, NEW)], ids=["in use", "after a pause"])
def test_who_comes_while_another_looks_takes_the_old_keys_only_if_they_are_recent(
    age: float, takes: WorkerKeys
) -> None:
    store = SlowStore()
    followed = Followed(store.load, every=1.0, clock=lambda: store.now)
    store.ring, store.now = NEW, age
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(followed.latest)
        assert store.looking.wait(10)
        if takes is NEW:
            threading.Timer(0.1, store.go_on.set).start()
        assert followed.latest() is takes
        store.go_on.set()
        assert first.result(10) is NEW


def test_threads_that_miss_a_key_share_one_look() -> None:
    """One looks; seven ask meanwhile, which that look may be too old for, so one of them looks for all."""
    store, ticks, asked = SlowStore(), itertools.count(), threading.Semaphore(0)

    def clock() -> float:
        asked.release()
        return next(ticks)

    followed = Followed(store.load, every=3600.0, clock=clock)
    store.ring = NEW
    with ThreadPoolExecutor(8) as threads:
        rings = [threads.submit(followed.refreshed) for _ in range(8)]
        for _ in range(1 + 8 + 1):  # at the start, by each that asks, and by the one that looks
            assert asked.acquire(timeout=10)
        store.go_on.set()
        assert [ring.result(10) for ring in rings] == [NEW] * 8
    assert store.looks == 3


def test_a_session_is_encrypted_with_one_key_though_the_ring_changes_in_between(kept: Kept) -> None:
    class Changing:
        """A new ring for every question."""

        def latest(self) -> WorkerKeys:
            rings = [OLD, NEW]
            kept.looks += 1
            return rings[kept.looks % 2]

        refreshed = latest

    for _ in range(2):
        session = TokenCipher(Changing()).encrypt_session("sa_1", Session("access", "refresh"))
        for stored in (session.access_token, session.refresh_token):
            assert stored.startswith(session.token_key.encode() + b".")
