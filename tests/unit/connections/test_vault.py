from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.settings import Environment, Settings, SettingsError
from connections.vault import (
    Cell,
    Opener,
    SealedFor,
    Sealer,
    ShimKeys,
    TokenCipher,
    UnreadableSecret,
    WorkerKeys,
    ensure_development_keys,
)

KEYS = WorkerKeys.generate(Environment.DEVELOPMENT)
SEALER, OPENER, CIPHER = Sealer(KEYS.for_shim()), Opener(KEYS), TokenCipher(KEYS)
TASK = SealedFor("ct_1", "ws_1")
CELL = Cell("sa_1", "access_token")


@given(st.dictionaries(st.text(), st.text()))
def test_what_the_api_seals_the_worker_opens(credentials: dict[str, str]) -> None:
    assert OPENER.open(SEALER.seal(credentials, TASK), TASK) == credentials


@pytest.mark.parametrize("other", [SealedFor("ct_2", "ws_1"), SealedFor("ct_1", "ws_2")])
def test_sealed_credentials_belong_to_one_task_of_one_workspace(other: SealedFor) -> None:
    with pytest.raises(UnreadableSecret):
        OPENER.open(SEALER.seal({"password": "canary"}, TASK), other)


@pytest.mark.parametrize("other", [Cell("sa_2", "access_token"), Cell("sa_1", "refresh_token")])
def test_a_token_belongs_to_one_cell(other: Cell) -> None:
    with pytest.raises(UnreadableSecret):
        CIPHER.decrypt(CIPHER.encrypt("token", CELL), other)


@given(st.text())
def test_tokens_come_back(token: str) -> None:
    assert CIPHER.decrypt(CIPHER.encrypt(token, CELL), CELL) == token


def test_the_same_token_is_never_encrypted_alike() -> None:
    assert CIPHER.encrypt("token", CELL) != CIPHER.encrypt("token", CELL)


@given(st.binary(max_size=200))
def test_damage_is_refused_and_not_repeated(junk: bytes) -> None:
    with pytest.raises(UnreadableSecret):
        OPENER.open(junk, TASK)
    with pytest.raises(UnreadableSecret):
        CIPHER.decrypt(junk, CELL)
    with pytest.raises(UnreadableSecret):
        CIPHER.decrypt(b"t1." + junk, CELL)


def test_another_ring_opens_nothing() -> None:
    with pytest.raises(UnreadableSecret):
        Opener(WorkerKeys.generate(Environment.DEVELOPMENT)).open(SEALER.seal({}, TASK), TASK)


def test_fingerprints_tell_requests_apart_and_depend_on_the_key() -> None:
    other = Sealer(WorkerKeys.generate(Environment.DEVELOPMENT).for_shim())

    ours, others = SEALER.fingerprints(), other.fingerprints()
    assert ours.of("a", "bc") == ours.of("a", "bc")
    assert ours.of("a", "bc") != ours.of("ab", "c")
    assert ours.of("a", "bc") != others.of("a", "bc")


def test_development_makes_its_keys_once(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path)
    ensure_development_keys(settings)
    first = settings.worker_keys_path.read_bytes()
    ensure_development_keys(settings)

    assert settings.worker_keys_path.read_bytes() == first
    assert settings.worker_keys_path.stat().st_mode & 0o777 == 0o600
    sealed = Sealer(ShimKeys.load(settings.shim_keys_path, settings)).seal({"a": "b"}, TASK)
    assert Opener(WorkerKeys.load(settings.worker_keys_path, settings)).open(sealed, TASK) == {"a": "b"}


def test_the_apis_excerpt_holds_no_private_key() -> None:
    excerpt = KEYS.for_shim().model_dump_json()
    private = [key["key"] for part in ("sealing", "tokens") for key in KEYS.model_dump(mode="json")[part]]

    assert not [key for key in private if key in excerpt]


def test_development_completes_the_keys_that_a_crash_left_in_half(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path)
    settings.worker_keys_path.write_bytes(KEYS.to_json())
    ensure_development_keys(settings)

    sealed = Sealer(ShimKeys.load(settings.shim_keys_path, settings)).seal({"a": "b"}, TASK)
    assert OPENER.open(sealed, TASK) == {"a": "b"}


def production(keys: Path) -> Settings:
    return Settings(env=Environment.PRODUCTION, keys_file=keys, database_url="sqlite:///x", redis_url="redis://x")


def test_production_refuses_development_keys(tmp_path: Path) -> None:
    ring = Settings(var_dir=tmp_path).worker_keys_path
    ring.write_bytes(KEYS.to_json())

    with pytest.raises(SettingsError, match="development keys"):
        WorkerKeys.load(ring, production(ring))


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"environment": "production", "fingerprint": "canary"}'])
def test_a_bad_key_file_is_one_clear_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsError, match="CONNECTOR_KEYS_FILE") as caught:
        WorkerKeys.load(path, Settings())
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)
