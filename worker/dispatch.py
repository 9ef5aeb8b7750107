"""Sends the rows of batches, as many and as fast as hosts and workers can take them.

Ten thousand rows wait in the table, not in the broker: there they would stand before everybody who comes later, and a
budget that is used up would find them in the workers' threads.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import redis
import structlog

from connections.contract import BatchWait, BatchWaitReason
from connections.dispatching import Board, Dispatching
from connections.errors import QueueUnavailable
from connections.rate import Rate
from connections.repository.dispatch import OpenBatch, WaitingRows
from worker.dispatch_plan import LOOKAHEAD_SECONDS, UNKNOWN, Chunk, Sent, Waiting, is_slow, plan, room_for
from worker.dispatch_turn import Turns
from worker.pacing import Room

log = structlog.get_logger()

# A date that moves less says nothing new.
_SAME_DATE_SECONDS = 3.0

SendRows = Callable[[Sequence[Sequence[str]]], None]


class Rooms(Protocol):
    """What is left of the hosts' budgets; `worker.pacing.Pacer`."""

    def rooms_everywhere(self, hosts: Collection[str], *, within: float) -> Mapping[str, Room]:
        """For each host what batches may begin in so many seconds, whichever worker it is that begins."""
        ...


class Dispatcher:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        dispatching: Dispatching,
        rooms: Rooms,
        turns: Turns,
        *,
        budget: Rate,
        send: SendRows,
        ask: Callable[[], None],
    ) -> None:
        """`send` puts messages with the ids of rows into the bulk queue, `ask` one for a run of a dispatcher; both
        may raise `QueueUnavailable`. `budget` is what a host's is called.
        """
        self._dispatching = dispatching
        self._rooms = rooms
        self._turns = turns
        self._budget = budget
        self._send = send
        self._ask = ask

    def ask(self) -> None:
        """Wants a run, because threads have become free. It is missed by nobody: beat wants one every second."""
        try:
            if self._turns.may_ask():
                self._ask()
        except (redis.RedisError, QueueUnavailable) as error:
            log.debug("dispatch_not_asked_for", cause=type(error).__name__)

    def dispatch(self) -> None:
        """One run, unless there is one already. Without Redis or the broker there is nobody to send anything to."""
        try:
            turn = self._turns.take()
            if turn is None:
                return
            number, token = turn
            try:
                self._run(number)
            finally:
                self._turns.give_up(token)
        except (redis.RedisError, QueueUnavailable) as error:
            log.warning("dispatch_stopped", cause=type(error).__name__)

    def _run(self, turn: int) -> None:
        board = self._dispatching.look()
        if not board.batches:
            return
        batches = {batch.id: batch for batch in board.batches}
        sent = [
            Sent(batches[batch_id].workspace_id, lane, rows)
            for (batch_id, lane), rows in board.on_their_way.items()
            if batch_id in batches
        ]
        waiting = [
            Waiting(one.batch_id, batches[one.batch_id].workspace_id, one.lane, one.due)
            for one in board.waiting
            if one.due and not batches[one.batch_id].is_over
        ]
        hosts = {one.lane for one in board.waiting} | {one.lane for one in sent}
        hosts.discard(UNKNOWN)
        rooms = self._rooms.rooms_everywhere(hosts, within=LOOKAHEAD_SECONDS) if hosts else {}
        chunks = plan(waiting, sent, rooms, *self._turns.capacity(), turn=turn) if waiting else []
        self._note(board, rooms, chunks)
        if chunks:
            self._send_rows(self._dispatching.take([chunk.picks for chunk in chunks]))

    def _send_rows(self, messages: Sequence[Sequence[str]]) -> None:
        try:
            self._send(messages)
        except QueueUnavailable:
            log.warning("dispatch_stopped", cause="queue unavailable")
            self._dispatching.give_back([task_id for message in messages for task_id in message])
            return
        log.debug("rows_sent", rows=sum(map(len, messages)), messages=len(messages))

    def _note(self, board: Board, rooms: Mapping[str, Room], chunks: Sequence[Chunk]) -> None:
        """Tells the batches what holds them back, and ends those that are at an end."""
        waiting, picked = defaultdict[str, list[WaitingRows]](list), defaultdict[str, Counter[str]](Counter)
        under_way = Counter[str]()
        for one in board.waiting:
            waiting[one.batch_id].append(one)
        for (_, lane), rows in board.on_their_way.items():
            under_way[lane] += rows
        for batch_id, lane, rows in (pick for chunk in chunks for pick in chunk.picks):
            under_way[lane] += rows
            picked[batch_id][lane] += rows
        have_rows_on_their_way = {batch_id for batch_id, _ in board.on_their_way}
        waits: dict[str, BatchWait | None] = {}
        for batch in board.batches:
            if batch.is_over and (waiting[batch.id] or batch.id in have_rows_on_their_way):
                self._dispatching.end_rows(batch.id)
                if batch.waits_for is not None:
                    waits[batch.id] = None
            elif not waiting[batch.id] and batch.id not in have_rows_on_their_way:
                if self._dispatching.finish(batch):
                    log.info("batch_finished", batch_id=batch.id)
            else:
                wait = wait_of(waiting[batch.id], picked[batch.id], rooms, under_way, budget=self._budget)
                if is_news(wait, _stored(batch)):
                    waits[batch.id] = wait
        if waits:
            self._dispatching.note_waits(waits)


def wait_of(
    waiting: Sequence[WaitingRows],
    picked: Mapping[str, int],
    rooms: Mapping[str, Room],
    under_way: Mapping[str, int],
    *,
    budget: Rate,
) -> BatchWait | None:
    """What holds back the rows of one batch that are not among those just `picked` from their lanes.

    `under_way` counts the rows of all batches by lane, those just picked included.
    """
    left = [one for one in waiting if one.due > picked.get(one.lane, 0)]
    if waiting and picked and not left:
        return None
    limited = [
        one for one in left or waiting if one.lane in rooms and _is_used_up(rooms[one.lane], under_way[one.lane])
    ]
    if limited:
        most = max(limited, key=lambda one: one.due)
        wait = rooms[most.lane].wait
        until = most.now + timedelta(seconds=wait) if wait > LOOKAHEAD_SECONDS else None
        return BatchWait(reason=BatchWaitReason.RATE_LIMIT, host=most.lane, budget=str(budget), until=until)
    if left:
        return BatchWait(reason=BatchWaitReason.CAPACITY)
    return BatchWait(reason=BatchWaitReason.RETRY, until=min(one.next_at for one in waiting)) if waiting else None


def _is_used_up(room: Room, under_way: int) -> bool:
    """Of a slow host's budget what is on its way uses nearly nothing."""
    return room_for(room) <= (0 if is_slow(room) else under_way)


def is_news(wait: BatchWait | None, before: BatchWait | None) -> bool:
    """Whether it is worth a write. A date that moves a little, as it does in every run, is not."""
    if wait is None or before is None:
        return wait is not before
    if wait.until is None or before.until is None:
        return wait != before
    moved = abs((wait.until - before.until).total_seconds()) > _SAME_DATE_SECONDS
    return moved or wait.model_copy(update={"until": before.until}) != before


def _stored(batch: OpenBatch) -> BatchWait | None:
    return None if batch.waits_for is None else BatchWait.model_validate(batch.waits_for)
