"""What the dispatcher does to the tables: look where rows of batches wait, take some, note how the batches stand."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from connections.bulk.ending import tell_finished
from connections.contract import BatchWait
from connections.db import Database
from connections.repository import batches, dispatch, sweeping
from connections.repository.dispatch import OpenBatch, WaitingRows

# A message is begun at once, or it is lost: no more are sent than there are free threads.
_SWEEP_SENT_SECONDS = 30.0

# More due rows than that of one batch and lane are not sent in one go.
_COUNT_TO = 500

# SQLite has one writer at a time: what is left is ended by the next run.
_END_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Board:
    """How all open batches stand; `on_their_way` counts rows by batch and lane."""

    batches: tuple[OpenBatch, ...]
    waiting: tuple[WaitingRows, ...]
    on_their_way: Mapping[tuple[str, str], int]


class Dispatching:
    """One per worker process, used by its threads. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self) -> Board:
        with self._database.read() as connection:
            open_batches = dispatch.open_batches(connection)
            if not open_batches:
                return Board((), (), {})
            waiting = dispatch.waiting_rows(connection, [batch.id for batch in open_batches], count_to=_COUNT_TO)
            return Board(tuple(open_batches), tuple(waiting), dispatch.rows_on_their_way(connection))

    def take(self, chunks: Sequence[Sequence[tuple[str, str, int]]]) -> list[list[str]]:
        """Marks rows as sent and gives the ids of each message; its picks are batch, lane and how many rows.

        There are fewer than picked when somebody else has taken them meanwhile.
        """
        wanted = Counter[tuple[str, str]]()
        for picks in chunks:
            for batch_id, lane, rows in picks:
                wanted[batch_id, lane] += rows
        with self._database.write() as connection:
            found = {
                (batch_id, lane): dispatch.due_rows(connection, batch_id, lane, limit=rows)
                for (batch_id, lane), rows in wanted.items()
            }
            dispatch.mark_sent(
                connection, [task_id for ids in found.values() for task_id in ids], sweep_in=_SWEEP_SENT_SECONDS
            )
        left = {key: iter(ids) for key, ids in found.items()}
        messages = [
            [task_id for batch_id, lane, rows in picks for task_id in islice(left[batch_id, lane], rows)]
            for picks in chunks
        ]
        return [message for message in messages if message]

    def give_back(self, task_ids: Sequence[str]) -> None:
        """Rows whose message could not be sent wait again."""
        with self._database.write() as connection:
            sweeping.give_back(connection, task_ids)

    def note_waits(self, waits: Mapping[str, BatchWait | None]) -> None:
        """Stores what holds the batches back, by batch."""
        with self._database.write() as connection:
            for batch_id, wait in waits.items():
                dispatch.note_wait(connection, batch_id, None if wait is None else wait.model_dump(mode="json"))

    def end_rows(self, batch_id: str) -> int:
        """Ends some of the rows that nobody works on although their batch is over, and says how many."""
        with self._database.write() as connection:
            return batches.end_canceled(connection, batch_id, _END_AT_ONCE)

    def finish(self, batch: OpenBatch) -> bool:
        """Notes the end of a batch whose rows have all ended. False while one has not."""
        with self._database.write() as connection:
            is_finished = dispatch.finish_batch(connection, batch.id)
            if is_finished:
                tell_finished(connection, batch.workspace_id, batch.id)
        return is_finished
