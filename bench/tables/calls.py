"""The calls that are measured: a connect from its key to its outcome, and what runs beside it all the time."""

from collections.abc import Callable, Iterator
from itertools import count

from sqlalchemy import update

from bench.tables.rows import BATCHES, LANES, POLLED, batch_id, lane, queued_id
from connections.db import Database
from connections.dispatching import Dispatching
from connections.models import connect_tasks
from connections.repository.attempts import ClaimedTask
from connections.service import ConnectService
from connections.settings import Environment, Settings
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from tests.factories import connect_command, make_tenant, verified

SWEPT = 20
_ROWS_PER_LANE = 4
_SWEPT_AT_ONCE = 200

_numbers = count()

Call = tuple[str, Callable[[], object]]


class Bench:
    """The product's own objects over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = WorkerKeys.generate(Environment.DEVELOPMENT)
        self._settlement = Settlement(database, Opener(self._keys), TokenCipher(self._keys), lease_seconds=30)
        self._dispatching = Dispatching(database)

    def round(self) -> Iterator[Call]:
        """Each call once, by its name; what one needs of the one before is there when the next is asked for."""
        number = next(_numbers)
        tenant = make_tenant(self._database)
        service = self._new_service()
        yield "authenticate, first in a minute", lambda: service.authenticate(tenant.key)
        service = self._new_service()
        yield "authenticate", lambda: service.authenticate(tenant.key)

        tasks: list[str] = []
        command = connect_command(f"new{number}.test")
        yield (
            "accept",
            lambda: tasks.append(
                service.accept(tenant.caller, command, request_id="req_1", reply_to="shim_1", wait=25.0).task_id
            ),
        )
        claimed: list[ClaimedTask | None] = []
        yield "claim", lambda: claimed.append(self._settlement.claim(tasks[0]))
        account = verified(f"did:plc:new{number}", f"new{number}.test")
        (task,) = claimed
        assert task is not None
        yield "succeed", lambda: self._settlement.succeed(task, account)
        yield "finished, 1 task", lambda: service.finished(tasks)
        polled = [queued_id(one) for one in range(POLLED)]
        yield f"finished, {POLLED} tasks", lambda: service.finished(polled)

        yield f"look, {BATCHES} batches", self._dispatching.look
        picks = [[(batch_id(number % BATCHES), lane(one), _ROWS_PER_LANE)] for one in range(LANES)]
        taken: list[str] = []
        yield (
            f"take, {_ROWS_PER_LANE * LANES} rows",
            lambda: taken.extend(task_id for message in self._dispatching.take(picks) for task_id in message),
        )
        assert len(taken) == _ROWS_PER_LANE * LANES
        self._dispatching.give_back(taken)

        self._make_due([queued_id(one) for one in range(SWEPT)])
        yield f"sweep, {SWEPT} due", lambda: self._settlement.sweep(limit=_SWEPT_AT_ONCE)
        yield "sweep, none due", lambda: self._settlement.sweep(limit=_SWEPT_AT_ONCE)

    def _new_service(self) -> ConnectService:
        """One that remembers no key."""
        return ConnectService(self._database, Sealer(self._keys.for_shim()), Settings())

    def _make_due(self, task_ids: list[str]) -> None:
        with self._database.write() as connection:
            change = update(connect_tasks).where(connect_tasks.c.id.in_(task_ids))
            connection.execute(change.values(sweep_at=from_now(-1), sweeps=0))
