"""Deletes what has outlived its use. Safe to run in many workers at once."""

import time
from collections.abc import Callable, Sequence

import structlog

from connections.db import Database
from connections.repository.retention import Retention, delete_batch

log = structlog.get_logger()

# SQLite has one writer at a time, so a batch is as long as a caller may have to wait for it.
_ROWS_AT_ONCE = 200

# Between batches those who wait get their turn.
_PAUSE_SECONDS = 0.1

# A run ends before the next is due, however slow the database, and long before the watchdog takes it for stuck.
_SECONDS_PER_KIND = 20.0


class Pruner:
    """One per worker process."""

    def __init__(
        self,
        database: Database,
        retentions: Sequence[Retention],
        *,
        is_stopping: Callable[[], bool],
        pause: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Once `is_stopping`, no further batch begins."""
        self._database = database
        self._retentions = retentions
        self._is_stopping = is_stopping
        self._pause = pause
        self._clock = clock

    def prune(self) -> None:
        """Deletes for some seconds; what is left is for the next run."""
        for retention in self._retentions:
            if deleted := self._prune(retention):
                log.info("rows_pruned", table=retention.table_name, rows=deleted)

    def _prune(self, retention: Retention) -> int:
        deleted, ends_at = 0, self._clock() + _SECONDS_PER_KIND
        while self._clock() < ends_at and not self._is_stopping():
            with self._database.write() as connection:
                batch = delete_batch(connection, retention, limit=_ROWS_AT_ONCE)
            deleted += batch
            if batch < _ROWS_AT_ONCE:
                break
            self._pause(_PAUSE_SECONDS)
        return deleted
