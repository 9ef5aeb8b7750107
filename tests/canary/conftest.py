"""Two runs: the product as it is, and the product without the redaction of its logs; on either database."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from connections.migrate import upgrade
from sandbox.process import SandboxProcess
from tests.canary.command_line import type_everything
from tests.canary.person import canary
from tests.canary.run import DATABASE_PASSWORD, REDIS_PASSWORD, Run
from tests.canary.stack import Stack
from tests.servers import Postgres, Valkey, running_valkey


@pytest.fixture(scope="session")
def bluesky() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture(scope="session", autouse=True)
def _without_core_files() -> Iterator[None]:
    """A process that is made to crash writes no memory to the disk of whoever runs the tests."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.fixture(scope="session")
def sqlite_run(tmp_path_factory: pytest.TempPathFactory, bluesky: SandboxProcess) -> Iterator[Run]:
    """The product's own processes. No password has a shape that the redaction could know."""
    directory = tmp_path_factory.mktemp("canary_on_sqlite")
    url = f"sqlite:///{directory / 'connector.db'}"
    upgrade(url)
    with secret_valkey(directory) as valkey, contextlib.closing(Stack(directory, url, valkey, bluesky)) as stack:
        run = Run(stack, shaped=False)
        run.needles.add(REDIS_PASSWORD, valkey.password)
        run.perform(visit=type_everything)
        yield run


@pytest.fixture(scope="session")
def postgres_run(
    tmp_path_factory: pytest.TempPathFactory, bluesky: SandboxProcess, postgres: Postgres
) -> Iterator[Run]:
    """The redaction of logs switched off, so that nothing stands in for a line that should never be written."""
    directory = tmp_path_factory.mktemp("canary_on_postgres")
    password = canary(DATABASE_PASSWORD)
    url = with_password(postgres.create("canary", template="migrated"), password)
    with (
        secret_valkey(directory) as valkey,
        contextlib.closing(Stack(directory, url, valkey, bluesky, "tests.canary.unredacted")) as stack,
    ):
        run = Run(stack, shaped=True)
        run.needles.add(REDIS_PASSWORD, valkey.password)
        run.needles.add(DATABASE_PASSWORD, password)
        run.perform(database_away=lambda: without_connections(postgres, "canary"))
        yield run


@contextlib.contextmanager
def secret_valkey(directory: Path) -> Iterator[Valkey]:
    with running_valkey(directory, canary(REDIS_PASSWORD)) as valkey:
        yield valkey


def with_password(url: str, password: str) -> str:
    """The server trusts whoever reaches its socket, so any password will do."""
    return make_url(url).set(password=password).render_as_string(hide_password=False)


@contextlib.contextmanager
def without_connections(postgres: Postgres, name: str) -> Iterator[None]:
    """As when a database server is being replaced: connections end, and new ones are refused."""
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(postgres.uri, autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        connection.execute(end, [name])
        try:
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


@pytest.fixture(params=["sqlite", "postgres"])
def run(request: pytest.FixtureRequest) -> Run:
    run: Run = request.getfixturevalue(f"{request.param}_run")
    return run
