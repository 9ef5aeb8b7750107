"""What all tests share: real servers on demand, and no way to any other."""

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Connection

from connections.db import Database
from connections.migrate import upgrade
from connections.settings import Environment, Settings
from connections.vault import WorkerKeys
from tests.rabbit import Rabbit, running_rabbit
from tests.servers import Postgres, Valkey, running_postgres, running_valkey

_numbers = itertools.count()

# What a skip on one machine is a failure on another.
_KEPT = ("CONNECTOR_REQUIRE_REAL_NETWORK", "CONNECTOR_REQUIRE_BROWSER")

# The same examples in every run, on a busy machine too: a failure is never luck.
hypothesis_settings.register_profile("reproducible", derandomize=True, deadline=None)
hypothesis_settings.load_profile("reproducible")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests open no socket; everything else reaches loopback and nothing beyond."""
    for item in items:
        if "unit" in item.path.relative_to(Path(__file__).parent).parts[:1]:
            item.add_marker(pytest.mark.disable_socket)
        else:
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "localhost", "::1"]))


# A shell's background job, as CI runs these, ignores Ctrl-C, and so would every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> None:
    """No setting of the machine's reaches a test, and no proxy its clients."""
    for name in [*os.environ]:
        is_ours = name.startswith(("CONNECTOR_", "UNIPOST_")) and name not in _KEPT
        if is_ours or name.lower().endswith("_proxy"):
            del os.environ[name]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    with running_rabbit(tmp_path_factory.mktemp("rabbit")) as server:
        yield server


@pytest.fixture
def rabbit(shared_rabbit: Rabbit) -> Rabbit:
    """Running, with no queue of another test's."""
    if not shared_rabbit.is_running:
        shared_rabbit.start()
    shared_rabbit.forget()
    return shared_rabbit


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as postgres:
        upgrade(postgres.create("migrated"))
        yield postgres


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    upgrade(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def sqlite_url(migrated_sqlite: bytes, tmp_path: Path) -> str:
    path = tmp_path / "connector.db"
    path.write_bytes(migrated_sqlite)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    yield postgres.create(name, template="migrated")
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database: the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        yield connection


@pytest.fixture(scope="session")
def worker_keys() -> WorkerKeys:
    return WorkerKeys.generate(Environment.DEVELOPMENT)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var_dir=tmp_path / "var")
