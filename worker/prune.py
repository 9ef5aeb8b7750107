"""Deletes what has outlived its use. Safe to run in many workers at once."""

from collections.abc import Callable, Sequence

import structlog

from connections.db import Database
from connections.repository.retention import Retention, delete_batch

log = structlog.get_logger()

# SQLite has one writer at a time, so a batch is as long as a caller may have to wait for it.
_ROWS_AT_ONCE = 200

# Between batches those who wait get their turn. With this many a run ends before the next is due.
_PAUSE_SECONDS = 0.05
_BATCHES_PER_RUN = 200


class Pruner:
    """One per worker process."""

    def __init__(
        self,
        database: Database,
        retentions: Sequence[Retention],
        *,
        is_stopping: Callable[[], bool],
        pause: Callable[[float], None],
    ) -> None:
        """Once `is_stopping`, no further batch begins."""
        self._database = database
        self._retentions = retentions
        self._is_stopping = is_stopping
        self._pause = pause

    def prune(self) -> None:
        """Deletes up to 40,000 rows of each kind; what is left is for the next run."""
        for retention in self._retentions:
            if deleted := self._prune(retention):
                log.info("rows_pruned", table=retention.table_name, rows=deleted)

    def _prune(self, retention: Retention) -> int:
        deleted = 0
        for _ in range(_BATCHES_PER_RUN):
            if self._is_stopping():
                break
            with self._database.write() as connection:
                batch = delete_batch(connection, retention, limit=_ROWS_AT_ONCE)
            deleted += batch
            if batch < _ROWS_AT_ONCE:
                break
            self._pause(_PAUSE_SECONDS)
        return deleted
