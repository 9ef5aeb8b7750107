"""Where a run takes place: the servers that all contenders share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.compare.upstream import Upstream, running_upstream
from tests.servers import Postgres, Valkey, running_postgres, running_valkey


@dataclass(frozen=True, slots=True)
class Place:
    """`directory` is for whatever a contender keeps in files, and for logs."""

    directory: Path
    upstream: Upstream
    valkey: Valkey
    postgres: Postgres

    @property
    def pids(self) -> dict[str, int]:
        """The servers' first processes, by name."""
        return {"valkey": self.valkey.pid, "postgres": self.postgres.pids[0], "upstream": self.upstream.pid}


@contextmanager
def running_place(*, accounts: int, tls: bool) -> Iterator[Place]:
    """With so many accounts at an upstream that speaks TLS or does not."""
    with (
        TemporaryDirectory(prefix="compare-", ignore_cleanup_errors=True) as directory,
        running_upstream(accounts, tls=tls) as upstream,
        running_valkey(Path(directory)) as valkey,
        running_postgres() as postgres,
    ):
        yield Place(Path(directory), upstream, valkey, postgres)
