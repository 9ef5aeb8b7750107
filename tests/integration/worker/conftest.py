"""What the tests of worker processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.worker.stack import Stack
from tests.rabbit import Rabbit
from tests.servers import Valkey, running_valkey
from worker.redis_client import redis_client


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    client = redis_client(valkey.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """On SQLite, or on the kind of database that the test names; "rabbitmq" is SQLite with that for a broker."""
    kind = getattr(request, "param", "sqlite")
    rabbit: Rabbit | None = request.getfixturevalue("rabbit") if kind == "rabbitmq" else None
    database_url: str = request.getfixturevalue("sqlite_url" if rabbit else f"{kind}_url")
    with running_valkey(tmp_path) as valkey:
        stack = Stack(valkey, database_url, tmp_path, rabbit)
        yield stack
        stack.database.close()
