"""What every key store does: the files, and one that stands for a KMS."""

import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connections.settings import Environment, Settings, SettingsError
from connections.vault import (
    FileKeyStore,
    KeysMissing,
    KeyStore,
    RingLost,
    ShimKeys,
    WorkerKeys,
    ensure_development_keys,
    generate_keys,
    open_key_store,
)
from tests.keystores import EnvelopeKeyStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STORES: list[Callable[[Settings], KeyStore]] = [FileKeyStore, EnvelopeKeyStore]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, settings: Settings) -> KeyStore:
    store: KeyStore = request.param(settings)
    return store


def test_is_a_key_store(store: KeyStore) -> None:
    assert isinstance(store, KeyStore)


def test_what_is_saved_is_loaded(store: KeyStore) -> None:
    generate_keys(store, Environment.DEVELOPMENT)
    ring, excerpt = store.load_ring(), store.load_excerpt()
    assert excerpt == ring.for_shim(excerpt.written_at)

    rotated = ring.rotated(now=NOW)
    with store.locked():
        store.save_ring(rotated)
        store.save_excerpt(rotated.for_shim(NOW))

    assert store.load_ring() == rotated
    assert store.load_excerpt() == rotated.for_shim(NOW)


def test_missing_keys_are_told_apart_from_bad_ones(store: KeyStore) -> None:
    for load in (store.load_ring, store.load_excerpt):
        with pytest.raises(KeysMissing):
            load()


def test_keys_are_made_once_however_many_make_them(store: KeyStore) -> None:
    def make(_: int) -> list[str]:
        return generate_keys(store, Environment.DEVELOPMENT)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(make, range(8))) == [*[[]] * 7, [store.ring_name, store.excerpt_name]]


def test_an_excerpt_that_a_crash_kept_back_is_made_of_the_ring_there_is(store: KeyStore) -> None:
    """In the middle of a rotation: old keys stay for the grace period of who sealed with the excerpt that is gone."""
    ring = WorkerKeys.generate(Environment.DEVELOPMENT).rotated(now=NOW)
    with store.locked():
        store.save_ring(ring)
    before = datetime.now(UTC)

    assert generate_keys(store, Environment.DEVELOPMENT) == [store.excerpt_name]

    excerpt = store.load_excerpt()
    assert store.load_ring() == ring
    assert excerpt == ring.for_shim(excerpt.written_at)
    assert excerpt.written_at is not None
    assert excerpt.written_at >= before


def test_an_excerpt_alone_gets_no_other_ring(store: KeyStore) -> None:
    excerpt = WorkerKeys.generate(Environment.DEVELOPMENT).for_shim()
    store.save_excerpt(excerpt)

    with pytest.raises(RingLost, match=re.escape(store.excerpt_name)):
        generate_keys(store, Environment.DEVELOPMENT)

    assert store.load_excerpt() == excerpt
    with pytest.raises(KeysMissing):
        store.load_ring()


def test_changes_under_the_lock_are_not_lost(store: KeyStore) -> None:
    generate_keys(store, Environment.DEVELOPMENT)

    def rotate(_: int) -> None:
        with store.locked():
            store.save_ring(store.load_ring().rotated(now=NOW))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(rotate, range(40)))
    assert len(store.load_ring().tokens) == 41


def test_a_reader_never_sees_half_a_ring(store: KeyStore) -> None:
    generate_keys(store, Environment.DEVELOPMENT)
    rings = [store.load_ring(), store.load_ring().rotated(now=NOW)]
    is_over = threading.Event()

    def read() -> int:
        looks = 0
        while not is_over.is_set():
            assert store.load_ring() in rings
            looks += 1
        return looks

    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(read)
        for number in range(200):
            with store.locked():
                store.save_ring(rings[number % 2])
        is_over.set()
        assert reader.result(10) > 0


def test_the_key_ring_is_wrapped(settings: Settings) -> None:
    store = EnvelopeKeyStore(settings)
    generate_keys(store, Environment.DEVELOPMENT)
    ring = store.load_ring()

    assert not any(key.key in wrapped for key in ring.tokens for wrapped in store.wrapped.values())
    assert not any(b"sealing" in wrapped for wrapped in store.wrapped.values())


@pytest.fixture
def files(settings: Settings) -> FileKeyStore:
    store = FileKeyStore(settings)
    generate_keys(store, Environment.DEVELOPMENT)
    return store


def test_files_are_private_and_stay_as_readable_as_they_were(files: FileKeyStore, settings: Settings) -> None:
    ring, excerpt = settings.worker_keys_path, settings.shim_keys_path
    assert [path.stat().st_mode & 0o777 for path in (ring, excerpt)] == [0o600, 0o600]

    excerpt.chmod(0o640)
    files.save_excerpt(files.load_excerpt())
    files.save_ring(files.load_ring())

    assert [path.stat().st_mode & 0o777 for path in (ring, excerpt)] == [0o600, 0o640]
    assert {path.name for path in ring.parent.iterdir()} == {ring.name, excerpt.name}


def test_what_a_crash_left_behind_is_in_nobodys_way(files: FileKeyStore, settings: Settings) -> None:
    left = settings.worker_keys_path.with_name(f".{settings.worker_keys_path.name}.new")
    left.write_bytes(b"half a ri")
    rotated = files.load_ring().rotated(now=NOW)

    files.save_ring(rotated)

    assert files.load_ring() == rotated
    assert not left.exists()


def test_a_ring_behind_a_link_is_replaced_where_it_is(files: FileKeyStore, settings: Settings, tmp_path: Path) -> None:
    link = settings.worker_keys_path
    real = link.rename(tmp_path / "real.json")
    link.symlink_to(real)
    rotated = files.load_ring().rotated(now=NOW)

    files.save_ring(rotated)

    assert link.is_symlink()
    assert WorkerKeys.load(real, settings) == rotated


def test_a_folder_that_takes_no_file_is_one_clear_line(
    files: FileKeyStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settings.worker_keys_path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="cannot be written: No space left on device") as caught:
        files.save_ring(files.load_ring().rotated(now=NOW))

    assert "\n" not in str(caught.value)
    assert settings.worker_keys_path.read_bytes() == before


def named(name: str) -> Settings:
    return Settings(key_store=name)


def test_a_setting_names_the_store() -> None:
    assert isinstance(open_key_store(named("tests.keystores:EnvelopeKeyStore")), EnvelopeKeyStore)


NO_STORES = {
    "no such module": ("nowhere.at_all:factory", "No module named 'nowhere'"),
    "no such factory": ("tests.keystores:factory", "has no attribute 'factory'"),
    "not a store": ("builtins:repr", "builtins:repr makes no key store"),
}


@pytest.mark.parametrize(("name", "told"), NO_STORES.values(), ids=NO_STORES)
def test_a_setting_that_leads_nowhere_is_one_clear_line(name: str, told: str) -> None:
    with pytest.raises(SettingsError, match="CONNECTOR_KEY_STORE: ") as caught:
        open_key_store(named(name))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_api_needs_nothing_but_its_excerpt(settings: Settings, files: FileKeyStore) -> None:
    ring = settings.worker_keys_path
    ring.unlink()
    ensure_development_keys(settings)

    assert not ring.exists()
    assert isinstance(open_key_store(settings).load_excerpt(), ShimKeys)
