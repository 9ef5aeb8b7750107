"""The rows of open batches, as the dispatcher sees them: how many are due in which lane, and how many on their way."""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from bench.simulate.loop import Loop
from bench.simulate.world import HOSTED, NewBatch
from worker.dispatch_plan import UNKNOWN, Pick, Sent, Waiting

# As `connections.dispatching` counts.
_COUNT_TO = 500


@dataclass(slots=True, eq=False)
class Row:
    """One row from when it is first sent. `host` is where its account lives; `address` where its message went.

    `waits_in` is the lane that it waits in, None while it is on its way.
    """

    batch: "Batch"
    host: str
    lane: str
    expires_at: float
    attempts: int = 0
    address: int = -1
    waits_in: "_Lane | None" = None


@dataclass(slots=True, eq=False)
class _Lane:
    """`fresh` rows were never sent; those that came back are behind them. `later` are not due yet."""

    fresh: int = 0
    back: deque[Row] = field(default_factory=deque)
    later: int = 0

    @property
    def due(self) -> int:
        return self.fresh + len(self.back)


@dataclass(slots=True, eq=False)
class Batch:
    """`left` rows have not ended."""

    id: str
    workspace_id: str
    accepted_at: float
    own: list[str]
    left: int
    lanes: defaultdict[str, _Lane] = field(default_factory=lambda: defaultdict(_Lane))


class Table:
    """`on_their_way` counts by batch and lane, `at_address` by address and lane; `unsent` rows of the hosted service by
    workspace. `left` rows have not ended and lead to a host that answers. Batches have `finished` at these seconds."""

    def __init__(self, loop: Loop, *, expires_in: float, silent: Collection[str]) -> None:
        self._loop = loop
        self._expires_in = expires_in
        self._silent = frozenset(silent)
        self.batches: dict[str, Batch] = {}
        self.finished: dict[str, float] = {}
        self.unsent = Counter[str]()
        self.accepted = self.left = 0
        self.expired = 0
        self.on_their_way = Counter[tuple[str, str]]()
        self.at_address: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def accept(self, new: NewBatch) -> None:
        batch = Batch(new.batch_id, new.workspace_id, self._loop.now, list(new.own), new.hosted + len(new.own))
        batch.lanes[HOSTED].fresh = new.hosted
        batch.lanes[UNKNOWN].fresh = len(new.own)
        self.batches[batch.id] = batch
        self.unsent[batch.workspace_id] += new.hosted
        self.accepted += new.hosted + len(new.own)
        self.left += new.hosted + sum(host not in self._silent for host in new.own)

    def lanes(self) -> Iterator[tuple[Batch, str, _Lane]]:
        """Those in which rows wait, due or not; oldest batches first."""
        for batch in self.batches.values():
            for name, lane in batch.lanes.items():
                if lane.fresh or lane.back or lane.later:
                    yield batch, name, lane

    def waiting(self) -> list[Waiting]:
        return [
            Waiting(batch.id, batch.workspace_id, name, min(lane.due, _COUNT_TO))
            for batch, name, lane in self.lanes()
            if lane.fresh or lane.back
        ]

    def sent(self) -> list[Sent]:
        return [
            Sent(self.batches[batch_id].workspace_id, lane, rows)
            for (batch_id, lane), rows in self.on_their_way.items()
            if rows
        ]

    def take(self, picks: Sequence[Pick], address: int) -> list[Row]:
        """Marks rows as sent, those that wait longest first."""
        rows: list[Row] = []
        for batch_id, lane_name, count in picks:
            batch = self.batches[batch_id]
            lane = batch.lanes[lane_name]
            for _ in range(count):
                row = self._fresh(batch, lane_name, lane) if lane.fresh else lane.back.popleft()
                row.address, row.waits_in = address, None
                rows.append(row)
            self.on_their_way[batch_id, lane_name] += count
            self.at_address[address][lane_name] += count
        return rows

    def _fresh(self, batch: Batch, name: str, lane: _Lane) -> Row:
        lane.fresh -= 1
        if name == HOSTED:
            self.unsent[batch.workspace_id] -= 1
        host = batch.own.pop() if name == UNKNOWN else name
        return Row(batch, host, name, batch.accepted_at + self._expires_in)

    def end(self, row: Row) -> None:
        self._arrive(row)
        self._end(row)

    def postpone(self, row: Row, delay: float, *, lane: str | None = None, expires_in: float | None = None) -> None:
        """It waits for the dispatcher again, from `delay` seconds on and from now on in its `lane` if one is given."""
        self._arrive(row)
        if lane is not None:
            row.lane = lane
        if expires_in is not None and self._loop.now + expires_in < row.expires_at:
            row.expires_at = self._loop.now + expires_in
            self._loop.after(expires_in, self._expire, row)
        row.waits_in = row.batch.lanes[row.lane]
        if delay <= 0:
            row.waits_in.back.append(row)
            return
        row.waits_in.later += 1
        self._loop.after(delay, self._is_due, row)

    def _is_due(self, row: Row) -> None:
        if row.waits_in is not None:
            row.waits_in.later -= 1
            row.waits_in.back.append(row)

    def _expire(self, row: Row) -> None:
        """As the sweep ends it. One that is on its way ends there."""
        if row.waits_in is None:
            return
        if row in row.waits_in.back:
            row.waits_in.back.remove(row)
        else:
            row.waits_in.later -= 1
        row.waits_in = None
        self.expired += 1
        self._end(row)

    def _end(self, row: Row) -> None:
        self.left -= row.host not in self._silent
        row.batch.left -= 1
        if not row.batch.left:
            self.finished[row.batch.id] = self._loop.now
            del self.batches[row.batch.id]

    def _arrive(self, row: Row) -> None:
        key = row.batch.id, row.lane
        self.on_their_way[key] -= 1
        if not self.on_their_way[key]:
            del self.on_their_way[key]
        self.at_address[row.address][row.lane] -= 1
