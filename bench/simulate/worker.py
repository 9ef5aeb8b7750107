"""Worker processes: threads, the product's own pacer, bulkheads and circuits, and a message's rows one by one."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import cast

import redis

from bench.simulate import costs
from bench.simulate.ledger import Ledger
from bench.simulate.loop import Loop
from bench.simulate.scripts import Scripts
from bench.simulate.table import Row, Table
from bench.simulate.upstream import EPOCH, Upstream
from bench.simulate.world import DIRECTORY, HOSTED, SILENT_SECONDS, Scenario
from connections.errors import ConnectorError, OutOfBudget, UpstreamFailed
from worker.bulkhead import Bulkhead
from worker.circuit import Circuits
from worker.pacing import _LOGIN_SIZES, _LOOK_EVERY, Pacer, bulk
from worker.pacing_ahead import TurnsAhead
from worker.retry import Again, History, decide

# The settings' defaults.
INTERACTIVE_SHARE = 0.2
ATTEMPT_SECONDS = 15.0
BATCH_RETRY_SECONDS = 900.0
_MAX_ATTEMPTS = 12

# As `worker.perform` and `worker.together`.
_ROWS_SECONDS = 5.0
_LONGEST_SECONDS = 1.0


class _Turns(TurnsAhead):
    def become(self, thread: threading.local) -> None:
        self._mine = thread


class SimulatedPacer(Pacer):
    """Where all threads are one, each message says that it is another."""

    def __init__(self, scripts: Scripts, *, scenario: Scenario, loop: Loop, address: int, bulkhead: Bulkhead) -> None:
        client = cast("redis.Redis", scripts)
        self.slept = 0.0
        super().__init__(
            client,
            budget=scenario.budget,
            interactive_share=INTERACTIVE_SHARE,
            egress_address=str(address),
            bulkhead=bulkhead,
            sleep=self._note_sleep,
            clock=lambda: EPOCH + loop.now,
            monotonic=lambda: loop.now,
        )
        numbers = [round(1e6 * seconds) for seconds in (self._interval, self._window, self._lag)]
        self._turns = _Turns(client, numbers=numbers, windows=_LOGIN_SIZES, look_every=_LOOK_EVERY)
        self._turns_ahead = self._turns

    def become(self, thread: threading.local) -> None:
        self._turns.become(thread)

    def wait(self, host: str, *, deadline: float, login_of: str | None = None) -> float:
        """Takes a turn: in how many seconds it comes. Raises `OutOfBudget`."""
        self.slept = 0.0
        self.take(host, deadline=deadline, login_of=login_of)
        return self.slept

    def has_told(self, host: str) -> bool:
        """Whether an answer that shows no bucket of the host's would be told to nobody: there was one a moment ago."""
        return self._told.get((host, False)) is not None

    def _note_sleep(self, seconds: float) -> None:
        self.slept = seconds


class Worker:
    """One process. `free` is how many of its threads are."""

    def __init__(self, site: "Site", address: int) -> None:
        self.site = site
        self.address = address
        self.free = site.scenario.threads
        # No waiting for a place: a thread that would have waited for one here goes on with its next row.
        self.bulkhead = Bulkhead({HOSTED, DIRECTORY}, wait=0.0)
        self.pacer = SimulatedPacer(
            site.scripts, scenario=site.scenario, loop=site.loop, address=address, bulkhead=self.bulkhead
        )
        self.circuits = Circuits(clock=lambda: site.loop.now)

    def answered(self, host: str, call: str, seconds: float) -> None:
        """A login's answer shows the account's bucket, a look's the host's, and the directory's none."""
        self.bulkhead.answered(host, seconds)
        if call == "GET" and host != DIRECTORY:
            self.pacer.learn(host, call, 200, self.site.upstream.host_headers(host, self.address), seconds)
        elif not self.pacer.has_told(host):
            headers = self.site.upstream.login_headers() if host != DIRECTORY else {}
            self.pacer.learn(host, call, 200, headers, seconds)


class Site:
    """What the parts of a simulation share."""

    def __init__(
        self, scenario: Scenario, loop: Loop, scripts: Scripts, upstream: Upstream, table: Table, dice: Random
    ) -> None:
        self.scenario = scenario
        self.loop = loop
        self.scripts = scripts
        self.upstream = upstream
        self.table = table
        self.dice = dice
        self.ledger = Ledger()
        self.logins = 0

    def new_login(self) -> str:
        self.logins += 1
        return f"person{self.logins}"


class Message:
    """The rows of one message, at one thread of a worker, as `worker.perform.Performer.perform_rows` has them."""

    def __init__(self, site: Site, rows: Sequence[Row], done: Callable[[Worker], None]) -> None:
        self._site = site
        self._rows = rows
        self._done = done
        self._thread = threading.local()
        self._next_row = 0
        self._kept: list[Row] = []

    def begin(self, worker: Worker) -> None:
        self._worker = worker
        self._site.loop.after(costs.CLAIM_SECONDS, self._claimed)

    def _claimed(self) -> None:
        site, ledger = self._site, self._site.ledger
        self._claimed_at = self._oldest = site.loop.now
        workspaces = len({row.batch.workspace_id for row in self._rows})
        ledger.sql("claim", costs.claim())
        for row in self._rows:
            row.attempts += 1
        self._names = {row: site.new_login() for row in self._rows}
        hosted = [self._names[row] for row in self._rows if row.host == HOSTED]
        self._ahead: AbstractContextManager[None] | None = None
        if hosted:
            ledger.sql("names", costs.names(workspaces))
            ledger.redis["limits"] += costs.limits(len(hosted), workspaces)
            self._worker.pacer.become(self._thread)
            self._ahead = self._worker.pacer.ahead(HOSTED, hosted)
            self._ahead.__enter__()
        self._go_on()

    def _go_on(self) -> None:
        if self._next_row == len(self._rows):
            self._site.loop.after(costs.STORE_SECONDS, self._end)
            return
        now = self._site.loop.now
        if now > self._claimed_at + _ROWS_SECONDS:
            self._unclaim()
            return
        row = self._row = self._rows[self._next_row]
        self._next_row += 1
        self._deadline = now + ATTEMPT_SECONDS
        self._watch: AbstractContextManager[None] | None = None
        if now >= row.expires_at:
            self._site.ledger.rows["expired"] += 1
            self._site.ledger.sql("settle", costs.settle())
            self._site.table.end(row)
            self._go_on()
        elif row.host == HOSTED:
            self._log_in()
        else:
            self._request(DIRECTORY, None, self._log_in_where_it_lives)

    def _log_in(self) -> None:
        worker, row = self._worker, self._row
        if worker.pacer.wants_look(row.host):
            self._request(row.host, None, self._looked)
        else:
            self._request(row.host, self._names[row], self._keep)

    def _looked(self) -> None:
        self._request(self._row.host, self._names[self._row], self._keep)

    def _log_in_where_it_lives(self) -> None:
        site, row = self._site, self._row
        site.ledger.sql("known", costs.names(1))
        site.ledger.redis["limits"] += costs.limits(2, 1)  # by its id and its name
        watch = self._worker.circuits.watch(row.host, self._names[row], deadline=self._deadline)
        try:
            watch.__enter__()
        except UpstreamFailed as error:
            self._fail(error)
            return
        self._watch = watch
        self._log_in()

    def _request(self, host: str, login_of: str | None, then: Callable[[], None]) -> None:
        worker = self._worker
        worker.pacer.become(self._thread)
        try:
            with bulk():
                worker.bulkhead.check(host)
                wait = worker.pacer.wait(host, deadline=self._deadline, login_of=login_of)
        except OutOfBudget as error:
            self._site.ledger.rows["came back"] += 1
            self._fail(error)
            return
        if wait:
            self._site.loop.after(wait, self._ask, host, login_of, then)
        else:
            self._ask(host, login_of, then)

    def _ask(self, host: str, login_of: str | None, then: Callable[[], None]) -> None:
        loop, place = self._site.loop, self._worker.bulkhead.hold(host)
        try:
            place.__enter__()
        except OutOfBudget as error:
            self._site.ledger.rows["came back for a place"] += 1
            self._fail(error)
            return
        seconds = self._site.upstream.ask(host, self._worker.address)
        if seconds is None:
            loop.after(SILENT_SECONDS, self._not_answered, host, place)
        else:
            call = "GET" if login_of is None else "POST"
            loop.after(seconds + costs.ROW_SECONDS, self._answered, host, call, place, seconds, then)

    def _answered(
        self, host: str, call: str, place: AbstractContextManager[None], seconds: float, then: Callable[[], None]
    ) -> None:
        place.__exit__(None, None, None)
        self._worker.answered(host, call, seconds)
        then()

    def _not_answered(self, host: str, place: AbstractContextManager[None]) -> None:
        place.__exit__(None, None, None)
        self._worker.bulkhead.failed(host, SILENT_SECONDS)
        self._fail(UpstreamFailed())

    def _keep(self) -> None:
        now = self._site.loop.now
        if self._watch is not None:
            self._watch.__exit__(None, None, None)
        if not self._kept:
            self._oldest = now
        self._kept.append(self._row)
        if now - self._oldest >= _LONGEST_SECONDS:
            self._store()
        self._go_on()

    def _fail(self, error: ConnectorError) -> None:
        site, row = self._site, self._row
        if self._watch is not None:
            self._watch.__exit__(type(error), error, None)
        if not error.uses_attempt:
            row.attempts -= 1
        history = History(
            attempts=row.attempts,
            max_attempts=_MAX_ATTEMPTS,
            now=_instant(site.loop.now),
            expires_at=_instant(row.expires_at),
            caller_waits_until=None,
        )
        decision = decide(error, history, site.dice.uniform)
        site.ledger.sql("settle", costs.settle())
        if isinstance(decision, Again):
            site.ledger.rows["postponed"] += 1
            site.table.postpone(
                row,
                decision.delay,
                lane=error.host or None if isinstance(error, OutOfBudget) else None,
                expires_in=BATCH_RETRY_SECONDS if isinstance(error, UpstreamFailed) else None,
            )
        else:
            site.ledger.rows["failed"] += 1
            site.table.end(row)
        self._go_on()

    def _unclaim(self) -> None:
        left = self._rows[self._next_row :]
        self._next_row = len(self._rows)
        self._site.ledger.sql("settle", costs.unclaim(len(left)))
        self._site.ledger.rows["given back"] += len(left)
        for row in left:
            row.attempts -= 1
            self._site.table.postpone(row, 0.0)
        self._go_on()

    def _store(self) -> None:
        site, rows = self._site, self._kept
        self._kept = []
        if rows:
            site.ledger.sql("store", costs.store(len(rows)))
            site.ledger.rows["connected"] += len(rows)
            for row in rows:
                site.ledger.by_workspace[row.batch.workspace_id] += 1
                site.table.end(row)

    def _end(self) -> None:
        self._store()
        if self._ahead is not None:
            self._worker.pacer.become(self._thread)
            self._ahead.__exit__(None, None, None)
        self._done(self._worker)


class Call:
    """A synchronous connect of a hosted account, from its message on: what its caller waits for a thread and a turn."""

    def __init__(self, site: Site, done: Callable[[Worker], None]) -> None:
        self._site = site
        self._sent_at = site.loop.now
        self._done = done

    def begin(self, worker: Worker) -> None:
        self._worker = worker
        self._site.loop.after(costs.CLAIM_SECONDS, self._claimed)

    def _claimed(self) -> None:
        site, worker = self._site, self._worker
        site.ledger.sql("callers", costs.call())
        site.ledger.redis["limits"] += costs.limits(1, 1)
        site.ledger.redis["announcements"] += 1
        worker.pacer.become(threading.local())
        wait = worker.pacer.wait(HOSTED, deadline=site.loop.now + ATTEMPT_SECONDS, login_of=site.new_login())
        site.ledger.caller_waits.append(site.loop.now - costs.CLAIM_SECONDS - self._sent_at + wait)
        site.loop.after(wait, self._ask)

    def _ask(self) -> None:
        seconds = self._site.upstream.ask(HOSTED, self._worker.address)
        assert seconds is not None
        self._site.loop.after(seconds + costs.ROW_SECONDS, self._answered, seconds)

    def _answered(self, seconds: float) -> None:
        self._worker.answered(HOSTED, "POST", seconds)
        self._site.ledger.rows["callers"] += 1
        self._done(self._worker)


def _instant(second: float) -> datetime:
    return datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=second)
