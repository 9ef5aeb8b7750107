"""Which rows of batches leave the table now: one pure function.

Rows wait in lanes: that of the host whose budget they lack, or the one without a name while it is not known where they
lead. A lane gets what its host's budget allows, workspaces take turns in each, and lanes take turns for the workers'
threads.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from worker.bulkhead import QUICK_SECONDS
from worker.pacing import Room

# The lane of rows that have not been looked up.
UNKNOWN = ""

# Rows are sent so far ahead of their turn, so that no host's budget lies idle until the next run.
LOOKAHEAD_SECONDS = 1.5

# One message is about so much work.
_CHUNK_SECONDS = 1.0
LARGEST_CHUNK = 16
_UNKNOWN_CHUNK = 4

# A host that takes longer to answer gets few rows at once, or a dozen such hosts would hold all threads.
_ROWS_AT_SLOW_HOST = 2
_SLOW_SHARE = 0.5

# With so many rows due whose hosts are known, others would only be looked up and left to wait as well.
ENOUGH_KNOWN = 200


class Waiting(NamedTuple):
    """`due` rows of one batch in one lane."""

    batch_id: str
    workspace_id: str
    lane: str
    due: int


class Sent(NamedTuple):
    """`rows` of one workspace in one lane that are on their way and have not ended."""

    workspace_id: str
    lane: str
    rows: int


class Pick(NamedTuple):
    """The next `rows` due of one batch in one lane."""

    batch_id: str
    lane: str
    rows: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The rows of one message."""

    picks: tuple[Pick, ...]


def plan(
    waiting: Sequence[Waiting],
    sent: Sequence[Sent],
    rooms: Mapping[str, Room],
    chunks: int,
    at_a_host: int,
    *,
    turn: int,
) -> list[Chunk]:
    """At most so many chunks that no more than `chunks` are on their way, and `at_a_host` for a single host: more of
    them would find no place there and come back.

    `waiting` has the rows to be preferred within a workspace first. `turn` is another number in every run: it decides
    who begins where all else is equal.
    """
    known = Counter[str]()
    for one in waiting:
        if one.lane != UNKNOWN and not is_slow(rooms[one.lane]):
            known[one.workspace_id] += one.due
    waiting_in, sent_in = defaultdict[str, list[Waiting]](list), defaultdict[str, list[Sent]](list)
    for one in waiting:
        if room_for(rooms[one.lane]) if one.lane != UNKNOWN else known[one.workspace_id] <= ENOUGH_KNOWN:
            waiting_in[one.lane].append(one)
    on_their_way = Counter[str]()
    for rows in sent:
        sent_in[rows.lane].append(rows)
        on_their_way[rows.workspace_id] += rows.rows
    lanes = [
        # The same number for all lanes of a circle, or each lane would always meet the same workspace first.
        _Lane(name, rooms.get(name), waiting_in[name], sent_in[name], turn // len(waiting_in))
        for name in _from(_spread(turn, len(waiting_in)), sorted(waiting_in))
    ]
    # One workspace at hundreds of hosts must not take the threads of another at a single one.
    lanes.sort(key=lambda lane: min(on_their_way[one.workspace_id] for one in waiting_in[lane.name]))
    under_way = chunks_under_way(sent, rooms)
    for lane in lanes:
        lane.places = math.inf if lane.name == UNKNOWN else at_a_host - under_way[lane.name]
    left, slow_left = chunks - under_way.total(), math.ceil(chunks * _SLOW_SHARE)
    slow_left -= sum(count for name, count in under_way.items() if name in rooms and is_slow(rooms[name]))
    planned: list[Chunk] = []
    while lanes and left > 0:
        for lane in lanes[:left]:
            if (lane.is_slow and slow_left <= 0) or lane.places <= 0:
                lane.quota = 0
                continue
            if picks := lane.next_chunk():
                planned.append(Chunk(picks))
                left -= 1
                lane.places -= 1
                slow_left -= lane.is_slow
        # Those that could not be reached in this round begin the next one, if there is anything left for one.
        lanes = [lane for lane in lanes if lane.has_more]
    return planned


def is_slow(room: Room) -> bool:
    """A host that has not answered yet counts as slow."""
    return room.seconds is None or room.seconds > QUICK_SECONDS


def room_for(room: Room) -> int:
    """How many rows may be on their way: those that begin within the look-ahead, one as soon as the host's turn is in
    it, and those that the host is answering meanwhile, or its pace could not be kept up.
    """
    return math.ceil(room.requests + room.rate * (room.seconds or 0.0)) if room.requests else 0


def chunk_size(room: Room | None) -> int:
    """How many rows one message carries; without a room for rows that are not looked up."""
    if room is None:
        return _UNKNOWN_CHUNK
    if room.seconds is None:
        return 1
    return max(1, min(LARGEST_CHUNK, int(_CHUNK_SECONDS / max(room.seconds, 0.001))))


def chunks_under_way(sent: Iterable[Sent], rooms: Mapping[str, Room]) -> Counter[str]:
    """About how many messages the rows on their way are in, by lane."""
    rows = Counter[str]()
    for one in sent:
        rows[one.lane] += one.rows
    return Counter({lane: math.ceil(count / chunk_size(rooms.get(lane))) for lane, count in rows.items()})


class _Lane:
    """What is still to be planned in one lane."""

    def __init__(
        self, name: str, room: Room | None, waiting: Sequence[Waiting], sent: Sequence[Sent], turn: int
    ) -> None:
        self.name = name
        self._size = chunk_size(room)
        self.places = 0.0
        self.is_slow = room is not None and is_slow(room)
        self._due = {one.batch_id: one.due for one in waiting}
        self._batches: dict[str, list[str]] = {}
        for one in waiting:
            self._batches.setdefault(one.workspace_id, []).append(one.batch_id)
        self._order = _from(turn, sorted(self._batches))
        self._rows = Counter[str]()
        for rows in sent:  # of a workspace there may be several batches
            self._rows[rows.workspace_id] += rows.rows
        self.quota = sum(self._due.values())
        if room is not None:
            under_way = self._rows.total()
            self.quota = min(self.quota, room_for(room) - under_way)
            if self.is_slow:
                self.quota = min(self.quota, _ROWS_AT_SLOW_HOST - under_way)

    @property
    def has_more(self) -> bool:
        return self.quota > 0

    def next_chunk(self) -> tuple[Pick, ...]:
        """The rows of one message, one by one from the workspace that has fewest on their way in this lane."""
        picks = Counter[str]()
        for _ in range(min(self._size, self.quota)):
            workspace = min(self._order, key=self._rows.__getitem__)
            batches = self._batches[workspace]
            picks[batches[0]] += 1
            self._rows[workspace] += 1
            self._due[batches[0]] -= 1
            if not self._due[batches[0]] and not batches[1:]:
                self._order.remove(workspace)
            elif not self._due[batches[0]]:
                batches.pop(0)
        self.quota -= picks.total()
        return tuple(Pick(batch_id, self.name, rows) for batch_id, rows in picks.items())


def _spread(turn: int, count: int) -> int:
    """One of `count` places, by the golden ratio: turns in a row lie far apart, and soon come near every place."""
    return int(turn * 0.6180339887498949 % 1 * count)


def _from(turn: int, names: Sequence[str]) -> list[str]:
    """The names in a circle, beginning with another one at every turn."""
    start = turn % len(names) if names else 0
    return [*names[start:], *names[:start]]
