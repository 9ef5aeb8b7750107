"""What callers see of a batch, and how they cancel it. Blocking; call it from a thread."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from connections.audit import Action, AuditEntry
from connections.contract import UNFINISHED_ROWS, Batch, BatchStatus, BatchWait, RowStatus
from connections.db import Database
from connections.errors import NotFound
from connections.intake import is_id
from connections.paging import Page, read_page
from connections.repository import audit, batches
from connections.repository.batches import RATE_SECONDS, BatchRow, ResultRow, Tally
from connections.service import Caller

# Some hundred rows are a few milliseconds, in which nobody else writes.
_ROWS_PER_CANCELLATION = 500

_HAS_CAUSE = frozenset({RowStatus.FAILED, RowStatus.EXPIRED, RowStatus.REJECTED})


class Batches:
    """One per API process, used by its threads. Every method raises `NotFound` for a batch that is not the caller's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, caller: Caller, batch_id: str) -> Batch:
        """How the batch stands now."""
        if is_id(batch_id):
            with self._database.read() as connection:
                batch = batch_now(connection, caller.workspace_id, batch_id)
            if batch is not None:
                return batch
        raise _no_such_batch()

    def results(
        self, caller: Caller, batch_id: str, *, after: int = 0, limit: int, statuses: frozenset[RowStatus] = frozenset()
    ) -> Page[ResultRow]:
        """At most `limit` rows after row number `after`; of those with one of `statuses`, if there are any given."""
        if not is_id(batch_id):
            raise _no_such_batch()
        with self._database.read() as connection:
            if batches.batch_of(connection, caller.workspace_id, batch_id) is None:
                raise _no_such_batch()
            return read_page(
                lambda most: batches.results(connection, batch_id, after=after, limit=most, statuses=statuses), limit
            )

    def cancel(self, caller: Caller, batch_id: str, *, request_id: str) -> Batch:
        """Ends what has not begun, and says how the batch stands then. One that has ended stays as it is."""
        self.get(caller, batch_id)
        with self._database.write() as connection:
            if batches.mark_canceled(connection, caller.workspace_id, batch_id):
                entry = AuditEntry(
                    caller.workspace_id, caller.key_id, Action.BATCH_CANCEL, target=batch_id, request_id=request_id
                )
                audit.record(connection, [entry])
        batch = self.get(caller, batch_id)
        if batch.status is not BatchStatus.CANCELING:
            return batch
        is_done = False
        while not is_done:  # what is cut off here the dispatcher ends
            with self._database.write() as connection:
                is_done = batches.end_canceled(connection, batch_id, _ROWS_PER_CANCELLATION) == 0
        return self.get(caller, batch_id)


def batch_now(connection: Connection, workspace_id: str, batch_id: str) -> Batch | None:
    """How an accepted batch stands; None when the workspace has none with this id."""
    row = batches.batch_of(connection, workspace_id, batch_id)
    if row is None:
        return None
    tallies = batches.tallies(connection, batch_id, lately=RATE_SECONDS)
    return summary(row, [*tallies, *batches.rejection_tallies(connection, batch_id)])


def summary(row: BatchRow, tallies: Sequence[Tally]) -> Batch:
    """How a batch stands, from its rows' count.

    Canceled rows say nothing about the pace of the others. One whose rows were all refused ended when it was accepted.
    """
    counts = dict.fromkeys(RowStatus, 0)
    causes: Counter[str] = Counter()
    for tally in tallies:
        counts[tally.status] += tally.rows
        if tally.status in _HAS_CAUSE and tally.cause is not None:
            causes[tally.cause] += tally.rows
    unfinished = sum(counts[status] for status in UNFINISHED_ROWS)
    age = (row.now - row.accepted_at).total_seconds()
    lately = sum(tally.ended_lately for tally in tallies if tally.status is not RowStatus.CANCELED)
    rate = lately / min(max(age, 1.0), RATE_SECONDS) if unfinished else None
    ends = (tally.last_ended_at for tally in tallies if tally.last_ended_at is not None)
    return Batch(
        id=row.id,
        status=_status(is_canceled=row.canceled_at is not None, is_finished=unfinished == 0),
        platform=row.platform,
        total=row.total,
        counts=counts,
        causes=dict(sorted(causes.items(), key=lambda cause: (-cause[1], cause[0]))),
        rate=rate and round(rate, 3),
        eta=row.now + timedelta(seconds=unfinished / rate) if rate else None,
        waits_for=BatchWait.model_validate(row.waits_for) if row.waits_for and unfinished else None,
        created_at=row.created_at,
        canceled_at=row.canceled_at,
        finished_at=None if unfinished else max(ends, default=row.accepted_at),
    )


def _status(*, is_canceled: bool, is_finished: bool) -> BatchStatus:
    if is_canceled:
        return BatchStatus.CANCELED if is_finished else BatchStatus.CANCELING
    return BatchStatus.FINISHED if is_finished else BatchStatus.RUNNING


def _no_such_batch() -> NotFound:
    return NotFound("There is no such batch.")
