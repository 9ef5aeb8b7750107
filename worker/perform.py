"""Connection attempts, from claim to settled."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from connections.errors import ConnectorError, InternalError, KeyUnavailable, UpstreamRateLimited
from connections.repository.attempts import ClaimedTask
from connections.settlement import Settlement
from connections.vault import UnreadableSecret
from connections.verified import Credentials, VerifiedAccount
from worker import spans
from worker.announce import Announcer
from worker.login_limits import LoginLimits
from worker.metrics import WorkerMetrics
from worker.pace import bulk
from worker.platforms.base import Platform
from worker.settle import Held, Settler, Verified
from worker.together import Together

log = structlog.get_logger()

# Somebody may be waiting, so a thread may sleep this long for the next attempt. Longer waits leave no thread behind.
SHORT_WAIT_SECONDS = 2.0

# No further row of a message is begun after so long; the row under way is finished.
_ROWS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a batch whose turn will come. `credentials` are None when they did not open.

    `name` is that by which the account can log in without a look-up. `looks_first` when its workspace has an account of
    this name already: it is likely the same, and needs no login.
    """

    task: ClaimedTask
    credentials: Credentials | None = field(repr=False)
    name: str | None
    looks_first: bool


class Performer:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        settlement: Settlement,
        platforms: Mapping[str, Platform],
        announcer: Announcer,
        login_limits: LoginLimits,
        *,
        attempt_seconds: float,
        is_stopping: Callable[[], bool],
        uniform: Callable[[float, float], float] = random.uniform,
        pause: Callable[[float], None] = time.sleep,
        batch_retry_seconds: float = 900.0,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        """`attempt_seconds` is the total deadline of one attempt; once `is_stopping`, no further one begins here.

        A row of a batch is tried for `batch_retry_seconds` at a server that fails.
        """
        self._settlement = settlement
        self._platforms = platforms
        self._announcer = announcer
        self._login_limits = login_limits
        self._attempt_seconds = attempt_seconds
        self._is_stopping = is_stopping
        self._pause = pause
        self._metrics = metrics or WorkerMetrics()
        self._settler = Settler(
            settlement,
            platforms,
            announcer,
            is_stopping=is_stopping,
            uniform=uniform,
            pause=pause,
            batch_retry_seconds=batch_retry_seconds,
            metrics=self._metrics,
        )

    def perform(self, task_id: str) -> None:
        """Attempts until the task is settled, taken by somebody else, due only later, or this worker is to stop.

        Performing a task that is settled or taken does nothing. Raises `ServiceUnavailable` when the database is away:
        the row stays as it is and the sweep brings it back.
        """
        while (delay := self._attempt(task_id)) is not None and delay <= SHORT_WAIT_SECONDS and not self._is_stopping():
            self._pause(delay)

    def perform_rows(self, task_ids: Sequence[str]) -> None:
        """Makes one attempt at each row of a batch, one after the other; what would take too long is given back.

        A row that fails waits in the table, never here: the dispatcher knows when its turn is. Raises
        `ServiceUnavailable` as `perform` does.
        """
        claimed = time.monotonic()
        with (
            self._settlement.claimed_rows(task_ids, begun_in=_ROWS_SECONDS) as tasks,
            spans.message(tasks),
            bulk(),
        ):
            rows = self._opened(tasks)
            with self._logins_ahead(rows), Together(self._keep_all) as together:
                for number, row in enumerate(rows):
                    if self._is_stopping() or time.monotonic() > claimed + _ROWS_SECONDS:
                        self._settlement.unclaim(tasks[number:])
                        break
                    held = self._held(row.task, claimed, begun_in=_ROWS_SECONDS)
                    with spans.attempt(row.task):
                        self._settled(held, partial(self._verify_row, held, row, together))

    @contextmanager
    def _logins_ahead(self, rows: Sequence[_Row]) -> Iterator[None]:
        """What each row would ask for before its login is asked for once."""
        logins = [(row.task, row.name) for row in rows if row.name is not None and not row.looks_first]
        names = defaultdict[str, list[str]](list)
        for task, name in logins:
            names[task.platform].append(name)
        with ExitStack() as stack:
            stack.enter_context(self._login_limits.together(logins))
            for platform, of_platform in names.items():
                stack.enter_context(self._platforms[platform].ahead(of_platform))
            yield

    def _attempt(self, task_id: str) -> float | None:
        """Seconds until the next attempt, None when there is none to make here."""
        task = self._settlement.claim(task_id)
        if task is None:
            return None
        if task.attempts == 1:
            self._metrics.begun(task.platform, (task.claimed_at - task.created_at).total_seconds())
        held = self._held(task, time.monotonic())
        # Somebody may be waiting, and nobody for the login to be taken out.
        with self._login_limits.together(), spans.attempt(task):
            return self._settled(held, lambda: self._settler.keep(held, self._verify(held)))

    def _opened(self, tasks: Sequence[ClaimedTask]) -> list[_Row]:
        """The rows, and in one query which of them had better be looked up before their login."""
        opened: list[tuple[ClaimedTask, Credentials | None]] = []
        for task in tasks:
            credentials = None
            with suppress(KeyUnavailable, UnreadableSecret):  # tried again in its turn, and settled then
                credentials = self._settlement.open_credentials(task)
            opened.append((task, credentials))
        names = {
            task.id: name
            for task, credentials in opened
            if credentials and (name := self._platforms[task.platform].login_name(credentials))
        }
        connected = self._settlement.connected_names([(task, names[task.id]) for task in tasks if task.id in names])
        return [_Row(task, known, names.get(task.id), looks_first=task.id in connected) for task, known in opened]

    def _held(self, task: ClaimedTask, claimed: float, *, begun_in: float = 0.0) -> Held:
        return Held(task, claimed, time.monotonic(), claimed + begun_in + self._settlement.lease_seconds)

    def _verify_row(self, held: Held, row: _Row, together: Together) -> None:
        together.add(held, self._verify(held, row))
        spans.ended("verified")

    def _keep_all(self, rows: Sequence[Verified]) -> None:
        if not self._settler.keep_all(rows):
            for row in rows:
                with spans.kept_alone(row.held.task):
                    self._settled(row.held, partial(self._settler.keep, row.held, row.account))

    def _settled(self, held: Held, job: Callable[[], None]) -> float | None:
        """Does what an attempt consists of and settles what it fails with. Seconds until the next one, or None."""
        task = held.task
        if task.claimed_at >= task.expires_at:
            spans.ended("expired")
            if self._settlement.expire(task):
                self._announcer.settled(task.id, task.reply_to)
            return None
        with structlog.contextvars.bound_contextvars(task_id=task.id, request_id=task.request_id):
            if task.attempts > task.max_attempts:
                # The last attempt ended with its process. Whatever it is that ends them must not go round all workers.
                log.error("attempts_lost", platform=task.platform, attempts=task.attempts - 1)
                return self._settler.fail(held, InternalError())
            try:
                job()
            except ConnectorError as error:
                return self._settler.fail(held, error)
            except Exception:
                # The one place that settles: a bug of ours ends the task with an answer instead of a silence.
                log.exception("connect_crashed", platform=task.platform, attempt=task.attempts)
                return self._settler.fail(held, InternalError())
        return None

    def _verify(self, held: Held, row: _Row | None = None) -> VerifiedAccount:
        task, platform = held.task, self._platforms[held.task.platform]
        credentials = (row and row.credentials) or self._settlement.open_credentials(task)
        accounts: list[tuple[str, str | None]] = []
        try:
            with self._login_limits.count(task) as count_login:

                def before_login(external_id: str | None, name: str | None) -> None:
                    if external_id is not None:
                        accounts.append((external_id, name))
                        if task.account_id is not None:
                            self._settlement.refuse_another(task, external_id)
                        elif task.batch_id is not None:
                            # Saves the login of a row that was sent before. A single request is logged in all the same,
                            # so that a wrong password is always told as such; the conflict is found when it is stored.
                            self._settlement.refuse_if_connected(task, external_id, name)
                    count_login(external_id, name)

                return platform.connect(
                    credentials,
                    deadline=held.started + self._attempt_seconds,
                    before_login=before_login,
                    looks_first=row is not None and row.looks_first,
                )
        except UpstreamRateLimited:
            # There is no login to be had for a while. That the account is connected can be told without one.
            if accounts:
                self._settlement.refuse_if_connected(task, *accounts[-1])
            raise
