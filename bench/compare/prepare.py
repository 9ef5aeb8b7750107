"""What some contenders need before they start. Each gives the variables that lead their processes to it."""

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from bench.compare.place import Place
from connections.db import Database
from connections.migrate import upgrade
from connections.settings import Settings
from connections.vault import ensure_development_keys
from tests.factories import make_tenant

_UNTHROTTLED = "1000000/1"

_numbers = count()


def connector(place: Place, stack: ExitStack, *, on_postgres: bool) -> Mapping[str, str]:
    """Our tables with one workspace, our keys, and our settings. Pacing is there but never holds anything back."""
    var = Path(stack.enter_context(TemporaryDirectory(prefix="var-", dir=place.directory)))
    url = _postgres(place, stack) if on_postgres else f"sqlite:///{var / 'connector.db'}"
    upgrade(url)
    ensure_development_keys(Settings(var_dir=var))
    database = Database(url)
    tenant = make_tenant(database)
    database.close()
    return {
        "BENCH_DATABASE": url,
        "BENCH_VAR": str(var),
        "BENCH_KEY": tenant.key,
        "BENCH_WORKSPACE": tenant.workspace_id,
        "BENCH_PROFILE": tenant.profile_ids[0],
        "CONNECTOR_VAR_DIR": str(var),
        "CONNECTOR_DATABASE_URL": url,
        "CONNECTOR_REDIS_URL": place.valkey.url,
        "CONNECTOR_LOG_FORMAT": "json",  # as in production
        "CONNECTOR_HOST_BUDGET": _UNTHROTTLED,
        **place.upstream.settings(),
    }


def procrastinate(place: Place, stack: ExitStack) -> Mapping[str, str]:
    """A database with its tables."""
    from procrastinate.schema import SchemaManager  # noqa: PLC0415  only there when it is measured

    url = _postgres(place, stack).replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SchemaManager.get_schema())
    return {"BENCH_LIBPQ": url}


def _postgres(place: Place, stack: ExitStack) -> str:
    name = f"bench{next(_numbers)}"
    stack.callback(place.postgres.drop, name)
    return place.postgres.create(name)
