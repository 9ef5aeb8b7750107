"""Runs of the dispatcher, one at a time, as `worker.dispatch` has them, and two other ways to ask for budgets."""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence

from bench.simulate import costs
from bench.simulate.fleet import Fleet
from bench.simulate.worker import Message, Site, Worker
from bench.simulate.world import Design
from worker.bulkhead import AT_A_QUICK_HOST
from worker.dispatch_plan import LOOKAHEAD_SECONDS, UNKNOWN, Chunk, plan
from worker.pacing import Room, pooled

# As `worker.dispatch_turn` and the schedule of beat.
_UNREAD = 4
_ASK_SECONDS = 0.1
_BEAT_SECONDS = 1.0

# SET, INCR, the script of the rooms, two lengths, who is alive, and giving up.
_TURN_COMMANDS = 7

# The address of a message that any worker may take.
ANY = -1

Rooms = Mapping[str, Room]


class Dispatcher:
    """One for all workers, as the lock makes of those that each of them has."""

    def __init__(self, site: Site) -> None:
        scenario = site.scenario
        self._site = site
        self._turn = 0
        self._is_running = False
        self._asked_at = -_ASK_SECONDS
        workers = [Worker(site, number % scenario.addresses) for number in range(scenario.workers)]
        self.fleet = Fleet(workers, site.dice, by_address=scenario.design is Design.ADDRESSED, after_rows=self.ask)
        self._one_at = {worker.address: worker for worker in reversed(workers)}

    def start(self) -> None:
        """Beat's first tick."""
        self._wake()
        self._site.loop.after(_BEAT_SECONDS, self.start)

    def ask(self) -> None:
        """A message has been performed, so its worker wants a run."""
        self._site.ledger.redis["dispatcher"] += 1
        if self._site.loop.now >= self._asked_at + _ASK_SECONDS:
            self._asked_at = self._site.loop.now
            self._wake()

    def _wake(self) -> None:
        site = self._site
        site.ledger.redis["broker"] += costs.BROKER_COMMANDS
        worker = self.fleet.any_worker()
        if self._is_running:
            site.ledger.redis["dispatcher"] += 1
            return
        self._is_running = True
        self._turn += 1
        self._began_at = site.loop.now
        batches, lanes = len(site.table.batches), sum(1 for _ in site.table.lanes())
        site.ledger.sql("look", costs.look(batches))
        site.ledger.redis["dispatcher"] += _TURN_COMMANDS
        site.loop.after(costs.look_seconds(batches, lanes), self._plan, worker)

    def _plan(self, worker: Worker) -> None:
        site, table = self._site, self._site.table
        waiting, sent = table.waiting(), table.sent()
        hosts = ({lane for _, lane, _ in table.lanes()} | {one.lane for one in sent}) - {UNKNOWN}
        by_address = self._rooms(sorted(hosts), worker)
        rooms = {host: pooled([one[host] for one in by_address.values()]) for host in hosts}
        threads = site.scenario.threads * len(self.fleet.workers)
        capacity = 0 if self.fleet.unread >= _UNREAD else threads // 2
        at_a_host = AT_A_QUICK_HOST * len(self.fleet.workers)
        chunks = plan(waiting, sent, rooms, capacity, at_a_host, turn=self._turn) if waiting else []
        messages = [(self._message(chunk, address), address) for chunk, address in self._addressed(chunks, by_address)]
        picks = {pick[:2] for chunk in chunks for pick in chunk.picks}
        rows = sum(pick.rows for chunk in chunks for pick in chunk.picks)
        if chunks:
            site.ledger.sql("take", costs.take(len(picks), rows))
        site.loop.after(costs.take_seconds(len(picks), rows) if chunks else 0.0, self._send, messages)

    def _send(self, messages: Sequence[tuple[Message, int]]) -> None:
        site = self._site
        site.ledger.redis["broker"] += costs.BROKER_COMMANDS * len(messages)
        site.ledger.messages["rows"] += len(messages)
        site.ledger.turns.append(site.loop.now - self._began_at)
        self._is_running = False
        for message, address in messages:
            self.fleet.put_rows(message, address)

    def _message(self, chunk: Chunk, address: int) -> Message:
        return Message(self._site, self._site.table.take(chunk.picks, address), self.fleet.rows_done)

    def _rooms(self, hosts: Collection[str], worker: Worker) -> dict[int, Rooms]:
        """By address: of the worker that runs this, or of each."""
        asked = [worker] if self._site.scenario.design is Design.OWN else [*self._one_at.values()]
        return {one.address: one.pacer.rooms(hosts, within=LOOKAHEAD_SECONDS) for one in asked}

    def _addressed(self, chunks: Sequence[Chunk], by_address: Mapping[int, Rooms]) -> Iterator[tuple[Chunk, int]]:
        """Each message goes to the address that has most room left for its lane."""
        if self._site.scenario.design is not Design.ADDRESSED:
            yield from ((chunk, ANY) for chunk in chunks)
            return
        at_address = self._site.table.at_address
        left: dict[str, list[tuple[float, int]]] = {}
        for chunk in chunks:
            lane = chunk.picks[0].lane
            if lane not in left:
                left[lane] = [
                    (at_address[address][lane] - (_starts(rooms[lane]) if lane != UNKNOWN else 0.0), address)
                    for address, rooms in by_address.items()
                ]
                heapq.heapify(left[lane])
            used, address = left[lane][0]
            heapq.heapreplace(left[lane], (used + sum(pick.rows for pick in chunk.picks), address))
            yield chunk, address


def _starts(room: Room) -> float:
    """As `worker.dispatch_plan.room_for`, not rounded."""
    return room.requests + room.rate * (room.seconds or 0.0) if room.requests else 0.0
