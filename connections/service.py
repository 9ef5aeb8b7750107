"""What the API does: recognise a caller, accept a connect request, read a task. Blocking; call it from a thread."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from sqlalchemy import Connection

from connections import api_keys, audit, scopes
from connections.contract import Issue, TaskStatus
from connections.db import Database
from connections.errors import IdempotencyKeyReused, NotFound, ServiceUnavailable, Unauthorized, ValidationFailed
from connections.grouped import Grouped
from connections.ids import new_id
from connections.intake import ConnectCommand, is_id, no_such_account, refused
from connections.messages import Queue
from connections.outcome import Outcome
from connections.profiles import resolve_profile
from connections.repository import accounts, attempts, idempotency, tasks, workspaces
from connections.repository import audit as audit_log
from connections.repository.idempotency import KeyedRequest
from connections.repository.tasks import TaskRow
from connections.settings import Settings
from connections.vault import Fingerprints, SealedFor, Sealer

# Long enough for a message to reach a worker that is not overloaded; then the sweep sends another.
FIRST_SWEEP_SECONDS = 10.0

# What idempotency keys are kept apart by, beside their workspace.
_ENDPOINT = "accounts/connect"
_RECONNECT_ENDPOINT = "accounts/reconnect"

# How long a key that was just recognised is not looked up again: what a revocation may take to be felt.
KEY_CACHE_SECONDS = 10.0
_KEY_CACHE_SIZE = 10_000

# How many workspaces' only profiles are remembered.
_PROFILES_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the holder of one key of one workspace, and what the key is good for beside the public API."""

    workspace_id: str
    key_id: str
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Accepted:
    """`is_new` is false when an earlier request has the task: both callers wait for one outcome.

    `request_id` is the one to tell it under, which is the first one's where the caller repeats a request. `row` is a
    new task as it was stored.
    """

    task_id: str
    request_id: str
    row: TaskRow | None = None

    @property
    def is_new(self) -> bool:
        return self.row is not None


@dataclass(frozen=True, slots=True)
class Patience:
    """How hard a task is tried: a caller who waits wants an answer soon, one who polls wants a success."""

    max_attempts: int
    expires_in: float


@dataclass(frozen=True, slots=True)
class _Request:
    """A connect request that is to be stored, under `task_id` unless it joins another's task."""

    caller: Caller
    command: ConnectCommand
    task_id: str
    request_id: str
    reply_to: str
    wait: float
    traceparent: str | None
    sealed: bytes = field(repr=False)


class ConnectService:
    """One per API process, used by its threads."""

    def __init__(self, database: Database, sealer: Sealer, settings: Settings) -> None:
        self._database = database
        self._sealer = sealer
        self._waited_for = Patience(max_attempts=5, expires_in=settings.interactive_task_seconds)
        self._polled = Patience(max_attempts=12, expires_in=settings.patient_task_seconds)
        self._callers: dict[bytes, tuple[float, Caller]] = {}
        # By workspace, as they were when last looked for; whether one still is, the statement that names it finds out.
        self._only_profiles: dict[str, str] = {}
        self._store_grouped = Grouped(self._store_each)

    def recognise(self, key: str) -> Caller | None:
        """The holder of a key that was authenticated a moment ago. Asks nobody, so it needs no thread."""
        known = self._callers.get(api_keys.hash_of(key))
        return known[1] if known is not None and known[0] > time.monotonic() else None

    def authenticate(self, key: str) -> Caller:
        """Raises `Unauthorized` unless this is a key that works."""
        if (known := self.recognise(key)) is not None:
            return known
        prefix = api_keys.prefix_of(key)
        if prefix is None:
            raise Unauthorized
        with self._database.read() as connection:
            row = workspaces.api_key_by_prefix(connection, prefix)
        if row is None or not api_keys.proves(key, row) or not row.is_valid:
            raise Unauthorized
        if not row.is_use_noted:
            # Nobody is turned away because a date could not be written.
            with contextlib.suppress(ServiceUnavailable), self._database.write() as connection:
                workspaces.note_use(connection, row.id)
        caller = Caller(row.workspace_id, row.id, scopes.read(row.scopes))
        if len(self._callers) >= _KEY_CACHE_SIZE:
            self._callers.clear()
        self._callers[api_keys.hash_of(key)] = (time.monotonic() + KEY_CACHE_SECONDS, caller)
        return caller

    def accept(
        self,
        caller: Caller,
        command: ConnectCommand,
        *,
        request_id: str,
        reply_to: str,
        wait: float,
        task_id: str | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> Accepted:
        """Stores the request as a task and returns once that is committed; its message is still to be sent.

        `wait` is how many seconds the caller will wait for the outcome (0: it will poll), `reply_to` the API process in
        which it does. `task_id` is the id for a new task: who must listen before the task can end chooses it.
        `traceparent` is the span that the work on it belongs to (W3C Trace Context).
        Raises `ValidationFailed` when the profile is not to be determined, and `IdempotencyKeyReused`.
        """
        task_id = task_id or new_id("ct")
        sealed = self._sealer.seal(
            {"identifier": command.identifier, "password": command.password},
            SealedFor(task_id=task_id, workspace_id=caller.workspace_id),
        )
        request = _Request(caller, command, task_id, request_id, reply_to, wait, traceparent, sealed)
        while True:
            if idempotency_key is None:
                accepted = self._store_grouped(request)
            else:
                accepted = self._store_keyed(request, idempotency_key)
            if accepted is not None:
                return accepted
            # The identical request has ended by now, or is stored: this one is not held up by it again.

    def _store_each(self, requests: Sequence[_Request]) -> list[Accepted | Exception | None]:
        """In one transaction; a request that is not valid fails alone."""
        fingerprints = self._sealer.fingerprints()
        if len(requests) == 1 and (accepted := self._store_at_once(requests[0], fingerprints)) is not None:
            return [accepted]
        outcomes: list[Accepted | Exception | None] = []
        with self._database.write() as connection:
            profile_of = cache(partial(self._resolve_profile, connection))  # most requests come from a few workspaces
            for request in requests:
                try:
                    profile_id = _profile(connection, request, profile_of)
                    outcomes.append(self._store(connection, request, profile_id, fingerprints))
                except (ValidationFailed, NotFound) as error:
                    outcomes.append(error)
        return outcomes

    def _store_at_once(self, request: _Request, fingerprints: Fingerprints) -> Accepted | None:
        """In one statement, as most requests can be. None, and nothing stored, for one that wants a closer look."""
        caller, command = request.caller, request.command
        profile_id = command.profile_id or self._only_profiles.get(caller.workspace_id)
        if profile_id is None or command.account_id is not None:
            return None
        with self._database.write_once() as connection:
            row = self._insert(connection, request, profile_id, fingerprints, is_only=command.profile_id is None)
        return None if row is None else Accepted(row.id, request.request_id, row)

    def _resolve_profile(self, connection: Connection, workspace_id: str, profile_id: str | None) -> str:
        """As `resolve_profile`, and remembers what it finds for those who name none."""
        resolved = resolve_profile(connection, workspace_id, profile_id)
        if profile_id is None:
            if len(self._only_profiles) >= _PROFILES_KEPT:
                self._only_profiles.clear()
            self._only_profiles[workspace_id] = resolved
        return resolved

    def _store_keyed(self, request: _Request, idempotency_key: str) -> Accepted | None:
        fingerprints = self._sealer.fingerprints()
        keyed = _keyed(fingerprints, request.caller, request.command, idempotency_key)
        with self._database.write() as connection:
            first = idempotency.first_use(connection, keyed)
            if first is not None:
                if first.fingerprint != keyed.fingerprint:
                    raise IdempotencyKeyReused
                self._join(connection, first.resource_id, wait=request.wait, reply_to=request.reply_to)
                return Accepted(first.resource_id, first.request_id)
            profile_id = _profile(connection, request, partial(resolve_profile, connection))
            accepted = self._store(connection, request, profile_id, fingerprints)
            if accepted is None or idempotency.insert_use(
                connection, keyed, resource_id=accepted.task_id, request_id=request.request_id
            ):
                return accepted
            connection.rollback()  # the key was used in this very moment, and its task is the one
        return None

    def _store(
        self, connection: Connection, request: _Request, profile_id: str, fingerprints: Fingerprints
    ) -> Accepted | None:
        """None when an identical request was in flight whose time is over: now it has ended."""
        row = self._insert(connection, request, profile_id, fingerprints)
        if row is not None:
            return Accepted(row.id, request.request_id, row)
        task_id = _in_flight(connection, request.caller.workspace_id, _fingerprint(request, profile_id, fingerprints))
        if task_id is None:
            return None
        self._join(connection, task_id, wait=request.wait, reply_to=request.reply_to)
        return Accepted(task_id, request.request_id)

    def _insert(
        self,
        connection: Connection,
        request: _Request,
        profile_id: str,
        fingerprints: Fingerprints,
        *,
        is_only: bool = False,
    ) -> TaskRow | None:
        caller, command, wait = request.caller, request.command, request.wait
        patience = self._waited_for if wait > 0 else self._polled
        return tasks.insert_task(
            connection,
            task_id=request.task_id,
            workspace_id=caller.workspace_id,
            profile_id=profile_id,
            platform=command.platform,
            queue=Queue.CONNECT,
            request_id=request.request_id,
            sealed_credentials=request.sealed,
            fingerprint=_fingerprint(request, profile_id, fingerprints),
            reply_to=request.reply_to if wait > 0 else None,
            caller_waits=wait if wait > 0 else None,
            max_attempts=patience.max_attempts,
            expires_in=patience.expires_in,
            sweep_in=FIRST_SWEEP_SECONDS,
            key_id=caller.key_id,
            is_only=is_only,
            account_id=command.account_id,
            connect_session_id=command.connect_session_id,
            traceparent=request.traceparent,
        )

    def _join(self, connection: Connection, task_id: str, *, wait: float, reply_to: str) -> None:
        """Lets a task be tried as hard as the most patient of those who want its outcome would have it."""
        if wait > 0:
            tasks.extend_wait(connection, task_id, seconds=wait, reply_to=reply_to)
        else:
            tasks.make_patient(
                connection,
                task_id,
                max_attempts=self._polled.max_attempts,
                expires_in=self._polled.expires_in,
            )

    def task(self, caller: Caller, task_id: str) -> TaskRow:
        """Raises `NotFound` for a task that does not exist or belongs to another workspace."""
        if is_id(task_id):
            with self._database.read() as connection:
                row = tasks.task_of(connection, caller.workspace_id, task_id)
            if row is not None:
                return row
        raise NotFound("There is no such connect task.")

    def finished(self, task_ids: list[str]) -> list[TaskRow]:
        """Those of the given tasks that have ended."""
        with self._database.read() as connection:
            return tasks.finished_tasks(connection, task_ids)

    def ping(self) -> None:
        """Raises `ServiceUnavailable` when the database does not answer."""
        with self._database.read() as connection:
            workspaces.profile_ids(connection, "", limit=1)


def _keyed(fingerprints: Fingerprints, caller: Caller, command: ConnectCommand, key: str) -> KeyedRequest:
    return KeyedRequest(
        workspace_id=caller.workspace_id,
        endpoint=_ENDPOINT if command.account_id is None else _RECONNECT_ENDPOINT,
        key_hash=fingerprints.of("idempotency key", key),
        fingerprint=fingerprints.of("idempotent request", command.platform, command.profile_id or "", *_rest(command)),
    )


def _fingerprint(request: _Request, profile_id: str, fingerprints: Fingerprints) -> bytes:
    command = request.command
    return fingerprints.of(request.caller.workspace_id, profile_id, command.platform, *_rest(command))


def _rest(command: ConnectCommand) -> list[str]:
    """What makes two commands the same, beside platform and profile."""
    about = (command.account_id, command.connect_session_id)
    return [command.identifier, command.password, *(part for part in about if part is not None)]


def _profile(connection: Connection, request: _Request, profile_of: Callable[[str, str | None], str]) -> str:
    """The profile of the account-to-be. Raises `ValidationFailed`, and `NotFound` where there is no account to be
    reconnected."""
    workspace_id, command = request.caller.workspace_id, request.command
    if command.account_id is None:
        return profile_of(workspace_id, command.profile_id)
    place = accounts.place_of(connection, workspace_id, command.account_id)
    if place is None:
        raise no_such_account()
    if place.platform != command.platform:
        message = f"This is an account of {place.platform}."
        raise refused([Issue(field="platform", code="another_platform", message=message)])
    return profile_of(workspace_id, place.profile_id)  # which may have been deleted since it was disconnected


def _in_flight(connection: Connection, workspace_id: str, fingerprint: bytes) -> str | None:
    """The task of an identical request; None when there is none, or it has expired and was ended here."""
    task = tasks.task_in_flight(connection, workspace_id, fingerprint)
    if task is None:
        return None
    if not task.has_expired:
        return task.id
    outcome = Outcome.of_expiry(attempts=task.attempts, max_attempts=task.max_attempts)
    attempts.finish_task(
        connection,
        task.id,
        fence=task.fence,
        status=TaskStatus.EXPIRED,
        outcome=outcome.to_row(),
        cause=outcome.cause,
    )
    audit_log.record(connection, [audit.not_connected(task, outcome.cause)])
    return None
