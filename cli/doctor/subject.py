"""What is looked at. Nothing is opened before a check asks for it."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import redis

from cli.queue_url import find_redis_url
from connections.db import Database
from connections.settings import Settings
from connections.vault import KeyStore, open_key_store
from worker.egress.client import Egress
from worker.egress.resolver import DnsResolver
from worker.redis_client import redis_client

# What the libraries may take, so that they say themselves what was wrong before a check's time is up.
PATIENCE_SECONDS = 2.5


class Subject:
    """One service, as its settings describe it. Used by one thread at a time."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """`clock` is this machine's; `free_bytes` says what is free on the disk of a folder."""
        self.settings = settings
        self.clock = clock
        self.free_bytes = free_bytes

    @cached_property
    def database(self) -> Database:
        return Database(self.settings.database, pool_size=2, transaction_seconds=PATIENCE_SECONDS)

    @cached_property
    def redis_url(self) -> str:
        """Raises `SettingsError` when nobody says where Redis is."""
        return find_redis_url(self.settings)

    @cached_property
    def redis(self) -> redis.Redis:
        """Raises `SettingsError` when nobody says where Redis is."""
        return redis_client(self.redis_url)

    @cached_property
    def egress(self) -> Egress:
        return Egress(self.settings)

    @cached_property
    def resolver(self) -> DnsResolver:
        return DnsResolver(self.settings.dns_servers)

    @cached_property
    def keys(self) -> KeyStore:
        """Raises `SettingsError` when there is no such store."""
        return open_key_store(self.settings)

    def close(self) -> None:
        for name in ("egress", "redis", "database"):
            if name in self.__dict__:  # it was asked for
                getattr(self, name).close()
