"""What a worker does to a task's row: claim it, open its credentials, and settle it in one transaction."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from connections import audit, storing
from connections.audit import AuditEntry
from connections.contract import TaskStatus
from connections.db import Database
from connections.errors import AnotherAccount, ConnectorError, KeyUnavailable
from connections.grouped import Grouped
from connections.ids import new_id
from connections.messages import Queue
from connections.outcome import Outcome
from connections.repository import accounts, at_once, attempts, sweeping
from connections.repository import audit as audit_log
from connections.repository.accounts import NewAccount
from connections.repository.attempts import ClaimedTask, EndedTask
from connections.repository.sweeping import DueTask
from connections.vault import KeyNotHeld, Opener, SealedFor, TokenCipher
from connections.verified import Credentials, Session, VerifiedAccount

log = structlog.get_logger()

# A worker that dies in an attempt is noticed this long after its lease ended.
_SWEEP_AFTER_LEASE_SECONDS = 1.0
# A planned attempt is first expected from the worker that planned it; the sweep comes a little later.
_SWEEP_AFTER_DUE_SECONDS = 1.0
# Longer than a worker sleeps for a task, so that the sweep offers it to all of them.
_KEY_WAIT_SECONDS = 5.0
_RESEND_SECONDS = 10.0
_RESEND_CAP_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Swept:
    """A task to be sent again, or one that has just expired."""

    task_id: str
    queue: Queue
    reply_to: str | None
    has_expired: bool
    traceparent: str | None = None


Success = tuple[ClaimedTask, VerifiedAccount]
"""A task, and the account that its credentials have opened."""


class Claim(NamedTuple):
    """What one thread has claimed last, and may have settled since."""

    task_id: str
    fence: int


class Settlement:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        database: Database,
        opener: Opener,
        cipher: TokenCipher,
        *,
        lease_seconds: float,
        refresh_in: Callable[[Session], float] = lambda _session: 86_400.0,
    ) -> None:
        """`lease_seconds` must be longer than an attempt can take. `refresh_in` says for each new session in how many
        seconds it is refreshed."""
        self._database = database
        self._opener = opener
        self._cipher = cipher
        self._lease = lease_seconds
        self._refresh_in = refresh_in
        self._claims: dict[int, tuple[Claim, ...]] = {}
        self._claim_grouped = Grouped(self._claim_each)
        self._succeed_grouped = Grouped(self._succeed_each)

    def claim(self, task_id: str) -> ClaimedTask | None:
        """The task for one attempt; None when it is settled, taken by another worker or not due yet."""
        task = self._claim_grouped(task_id)
        if task is not None:
            self._claims[threading.get_ident()] = (Claim(task.id, task.fence),)
        return task

    def _claim(self, task_ids: Sequence[str], lease: float) -> list[ClaimedTask]:
        with self._database.write_once() as connection:
            return attempts.claim_tasks(connection, task_ids, lease=lease, sweep_in=lease + _SWEEP_AFTER_LEASE_SECONDS)

    def _claim_each(self, task_ids: Sequence[str]) -> list[ClaimedTask | None]:
        claimed = {task.id: task for task in self._claim(list(dict.fromkeys(task_ids)), self._lease)}
        return [claimed.pop(task_id, None) for task_id in task_ids]  # a message that came twice is one claim

    @contextmanager
    def claimed_rows(self, task_ids: Sequence[str], *, begun_in: float) -> Iterator[list[ClaimedTask]]:
        """Claims rows of batches, each for an attempt that is begun in so many seconds; without those that are taken.

        Until the end of the block `release` gives them back.
        """
        rows = self._claim(task_ids, begun_in + self._lease)
        thread = threading.get_ident()
        self._claims[thread] = tuple(Claim(row.id, row.fence) for row in rows)
        try:
            yield rows
        finally:
            del self._claims[thread]

    @property
    def lease_seconds(self) -> float:
        """How long a claim lasts, from the beginning of its attempt."""
        return self._lease

    def claims(self) -> Mapping[int, tuple[Claim, ...]]:
        """A copy, by thread (`threading.get_ident()`)."""
        return self._claims.copy()

    def release(self) -> list[str]:
        """Ends the leases of what this process has claimed and not settled, so that other workers may claim it now.

        Returns the tasks' ids. An attempt that goes on may still be settled, until another worker claims its task.
        """
        with self._database.write() as connection:
            return [
                claim.task_id
                for claims in self.claims().values()
                for claim in claims
                if attempts.release_task(connection, claim.task_id, fence=claim.fence)
            ]

    def open_credentials(self, task: ClaimedTask) -> Credentials:
        """Raises `KeyUnavailable` for a key that is not here (yet), `UnreadableSecret` when they do not open."""
        try:
            opened = self._opener.open(task.sealed_credentials, SealedFor(task.id, task.workspace_id))
        except KeyNotHeld as error:
            # Rings are copied to many machines, not to all at once: another worker may have the key already.
            log.warning("key_not_held", key=error.key_id)
            raise KeyUnavailable(retry_after=_KEY_WAIT_SECONDS) from error
        return Credentials(identifier=opened["identifier"], password=opened["password"])

    def refuse_if_connected(self, task: ClaimedTask, external_id: str, name: str | None) -> None:
        """Raises `AlreadyConnected` when the workspace has this account."""
        with self._database.read() as connection:
            storing.refuse_if_connected(connection, task, external_id, name)

    def refuse_another(self, task: ClaimedTask, external_id: str) -> None:
        """Raises `AnotherAccount` when this is not the account that the task reconnects."""
        with self._database.read() as connection:
            place = accounts.place_of(connection, task.workspace_id, task.account_id or "")
        if place is None or place.external_id != external_id:
            raise AnotherAccount

    def connected_names(self, rows: Sequence[tuple[ClaimedTask, str]]) -> set[str]:
        """Of tasks and the names of their accounts: the ids of those whose workspace has an account of that name."""
        names = defaultdict[tuple[str, str], dict[str, str]](dict)
        for task, name in rows:
            names[task.workspace_id, task.platform][task.id] = name
        found: set[str] = set()
        for (workspace_id, platform), by_task in names.items():
            with self._database.read() as connection:
                connected = accounts.connected_names(connection, workspace_id, platform, set(by_task.values()))
            found |= {task_id for task_id, name in by_task.items() if name in connected}
        return found

    def succeed(self, task: ClaimedTask, verified: VerifiedAccount) -> bool:
        """Stores the account and the outcome and erases the credentials, all or nothing.

        Done again after the confirmation was lost it changes nothing and says the same. False when another worker has
        taken the task over: then nothing was stored. Raises `AlreadyConnected`, with nothing stored, when the account
        was connected in the meantime.
        """
        return self._succeed_grouped((task, verified))

    def _succeed_each(self, successes: Sequence[Success]) -> list[bool | Exception]:
        if len(successes) > 1 and self.succeed_all(successes):
            return [True] * len(successes)
        outcomes: list[bool | Exception] = []
        for task, verified in successes:
            try:
                outcomes.append(self._succeed_alone(task, verified))
            except (ConnectorError, DBAPIError) as error:
                outcomes.append(error)
        return outcomes

    def _succeed_alone(self, task: ClaimedTask, verified: VerifiedAccount) -> bool:
        if task.connect_session_id is not None and task.account_id is None:
            with self._database.read() as connection:
                task = replace(task, account_id=storing.account_to_renew(connection, task, verified.external_id))
        new = self._encrypted(task, verified)  # may ask for the keys: not in a transaction
        if not _is_of_its_own(task) and self._store_at_once(task, new):
            return True
        with self._database.write() as connection:
            account = storing.store(connection, task, new)
            if account is None:
                return True
            is_ours = attempts.finish_task(
                connection,
                task.id,
                fence=task.fence,
                status=TaskStatus.SUCCEEDED,
                outcome=Outcome(account=account).to_row(),
            )
            if is_ours:
                storing.tell(connection, [(task, account)])
            else:
                connection.rollback()
        return is_ours

    def _store_at_once(self, task: ClaimedTask, new: NewAccount) -> bool:
        """False, and nothing stored, where this database cannot, or when there is more to it."""
        if not at_once.can_store_at_once(self._database.engine.dialect.name):
            return False
        account = storing.connected(new, task.database_time())
        ended = EndedTask(task.id, task.fence, Outcome(account=account).to_row())
        entry = audit.connected(task, account.id)
        with suppress(DataError, IntegrityError), self._database.write_once() as connection:
            return at_once.store_at_once(connection, ended, new, entry, connected_at=account.connected_at)
        return False

    def succeed_all(self, rows: Sequence[Success]) -> bool:
        """As `succeed` for each, in one transaction. False, and nothing stored, unless all of them can be."""
        if any(_is_of_its_own(task) for task, _ in rows):
            return False
        new = [self._encrypted(task, verified) for task, verified in rows]
        with suppress(DataError, IntegrityError), self._database.write() as connection:
            now = rows[0][0].database_time()
            done = [(task, storing.connected(one, now)) for (task, _), one in zip(rows, new, strict=True)]
            ended = [EndedTask(task.id, task.fence, Outcome(account=account).to_row()) for task, account in done]
            stored = accounts.insert_accounts(connection, new, connected_at=now)
            if stored == len(rows) == attempts.succeed_tasks(connection, ended):
                storing.tell(connection, done)
                return True
            connection.rollback()
        return False

    def fail(self, task: ClaimedTask, outcome: Outcome) -> bool:
        """Ends the task with an error. False when another worker has taken it over."""
        return self._finish(task, TaskStatus.FAILED, outcome)

    def expire(self, task: ClaimedTask) -> bool:
        """Ends a task whose time was over when it was claimed. False when another worker has taken it over."""
        # The claim counted an attempt that is not made.
        return self._finish(task, *_end_of_time(task, attempts=task.attempts - 1))

    def postpone(
        self,
        task: ClaimedTask,
        outcome: Outcome | None,
        delay: float,
        *,
        uses_attempt: bool = True,
        expires_in: float | None = None,
        lane: str | None = None,
    ) -> bool:
        """Plans the next attempt in `delay` seconds. False when another worker has taken the task over.

        Without an `outcome` there is nothing to tell: the task is queued as if nobody had looked at it yet. Without
        `uses_attempt` the attempt just made does not count. `expires_in` shortens the task's life to so many
        seconds. A row of a batch waits for the dispatcher, from now on in its `lane` if one is given.
        """
        with self._database.write() as connection:
            return attempts.postpone_task(
                connection,
                task.id,
                fence=task.fence,
                attempts=task.attempts if uses_attempt else task.attempts - 1,
                delay=delay,
                sweep_in=delay + _SWEEP_AFTER_DUE_SECONDS,
                outcome=None if outcome is None else outcome.to_row(),
                expires_in=expires_in,
                lane=lane,
            )

    def unclaim(self, rows: Sequence[ClaimedTask]) -> None:
        """Leaves rows of batches whose attempts are not begun to the dispatcher again."""
        with self._database.write() as connection:
            attempts.unclaim_tasks(connection, [(row.id, row.fence) for row in rows])

    def sweep(self, *, limit: int) -> list[Swept]:
        """Finds tasks that nobody will do unless they are sent again, and ends those whose time is over.

        Rows of batches are not among the tasks to be sent: they are left to the dispatcher again. Safe to run in many
        processes at once.
        """
        with self._database.write() as connection:
            due = sweeping.due_tasks(connection, limit=limit)
            lost: defaultdict[int, list[str]] = defaultdict(list)
            expired: list[AuditEntry] = []
            for task in due:
                if task.has_expired:
                    status, outcome = _end_of_time(task, attempts=task.attempts)
                    attempts.finish_task(
                        connection,
                        task.id,
                        fence=task.fence,
                        status=status,
                        outcome=outcome.to_row(),
                        cause=outcome.cause,
                    )
                    expired.append(audit.not_connected(task, outcome.cause))
                elif task.batch_id is None:
                    lost[task.sweeps].append(task.id)
            audit_log.record(connection, expired)
            sweeping.give_back(connection, [task.id for task in due if task.batch_id and not task.has_expired])
            for sweeps, task_ids in lost.items():
                pause = min(_RESEND_SECONDS * 2**sweeps, _RESEND_CAP_SECONDS)
                sweeping.mark_swept(connection, task_ids, sweep_in=pause)
        return [
            Swept(task.id, Queue(task.queue), task.reply_to, task.has_expired, task.traceparent)
            for task in due
            if task.has_expired or task.batch_id is None
        ]

    def _finish(self, task: ClaimedTask, status: TaskStatus, outcome: Outcome) -> bool:
        with self._database.write() as connection:
            is_ours = attempts.finish_task(
                connection, task.id, fence=task.fence, status=status, outcome=outcome.to_row(), cause=outcome.cause
            )
            if is_ours:
                audit_log.record(connection, [audit.not_connected(task, outcome.cause)])
        return is_ours

    def _encrypted(self, task: ClaimedTask, verified: VerifiedAccount) -> NewAccount:
        account_id = task.account_id or new_id("sa")
        return NewAccount(
            id=account_id,
            workspace_id=task.workspace_id,
            profile_id=task.profile_id,
            platform=task.platform,
            external_id=verified.external_id,
            account_name=verified.name,
            display_name=verified.display_name,
            avatar_url=verified.avatar_url,
            host=verified.host,
            session=self._cipher.encrypt_session(account_id, verified.session),
            access_expires_at=verified.session.access_expires_at,
            refresh_in=self._refresh_in(verified.session),
        )


def _end_of_time(task: ClaimedTask | DueTask, *, attempts: int) -> tuple[TaskStatus, Outcome]:
    """How a task ends whose time is over. A row of a batch whose server failed all the time ends for that reason."""
    failed = Outcome.from_row(task.outcome).after_failures(attempts=attempts, max_attempts=task.max_attempts)
    if task.batch_id is not None and failed is not None:
        return TaskStatus.FAILED, failed
    return TaskStatus.EXPIRED, Outcome.of_expiry(attempts=attempts, max_attempts=task.max_attempts)


def _is_of_its_own(task: ClaimedTask) -> bool:
    """Whether there is more to do for it than to add an account."""
    return task.account_id is not None or task.connect_session_id is not None
