"""From the bytes of a batch to rows in the table: checked one by one, stored some at a time, accepted as a whole."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from itertools import islice

import structlog
from sqlalchemy import Connection

from connections.bluesky.hosted import HostedService
from connections.bluesky.identifier import parse_identifier
from connections.bulk.csv_rows import read_csv
from connections.bulk.ending import tell_finished
from connections.bulk.json_rows import read_json
from connections.bulk.lines import utf8
from connections.bulk.ndjson_rows import read_ndjson
from connections.bulk.rows import Candidate, Heading, SentRow, body_fault, read_row
from connections.contract import AcceptedBatch, Issue, RejectedRow
from connections.db import Database
from connections.errors import IdempotencyKeyReused, ServiceUnavailable, ValidationFailed
from connections.ids import new_id
from connections.intake import read_platform, read_profile_id, refused, unknown_profile
from connections.platforms import PLATFORMS
from connections.profiles import resolve_profile
from connections.repository import batch_intake, idempotency, workspaces
from connections.repository.batch_intake import StagedBatch, StagedRow
from connections.repository.idempotency import FirstUse, KeyedRequest
from connections.service import Caller
from connections.settings import Settings
from connections.vault import Fingerprints, SealedFor, Sealer

log = structlog.get_logger()

# What idempotency keys are kept apart by, beside their workspace.
_ENDPOINT = "connect/batches"

# Some ten milliseconds of a database's time, in which nobody else writes to SQLite.
_ROWS_PER_TRANSACTION = 500


class BatchFormat(StrEnum):
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch as it arrives. `platform` and `profile_id` are for the formats that cannot name them themselves."""

    format: BatchFormat
    pieces: Iterable[bytes] = field(repr=False)
    platform: str = "bluesky"
    profile_id: str | None = None


@dataclass(frozen=True, slots=True)
class AcceptedDelivery:
    """What to answer, and the request id to answer under: a repeated request has the first one's."""

    batch: AcceptedBatch
    request_id: str


class BatchIntake:
    """One per API process, used by its threads. Holds a few hundred rows of a batch at a time."""

    def __init__(self, database: Database, sealer: Sealer, settings: Settings) -> None:
        self._database = database
        self._sealer = sealer
        self._expires_in = settings.batch_task_seconds
        self._hosted = HostedService.of(settings)
        self._normal_form: Callable[[str], str] = partial(
            parse_identifier,
            hosted_domain=self._hosted.domain,
            # Whether there is a network that has them is for the workers to know; in production there is none.
            allows_test=not settings.is_production,
        )

    def accept(
        self,
        caller: Caller,
        delivery: Delivery,
        *,
        request_id: str,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> AcceptedDelivery:
        """Reads the delivery to its end. When this returns its good rows are tasks; when it raises nothing is left.

        Raises `ValidationFailed` for what is wrong with all of it, `PayloadTooLarge`, `IdempotencyKeyReused`,
        `ServiceUnavailable`, and what the pieces raise.
        """
        fingerprints = self._sealer.fingerprints()
        fingerprint = fingerprints.growing(
            "idempotent batch", delivery.format, delivery.platform, delivery.profile_id or ""
        )

        def pieces() -> Iterator[bytes]:
            for piece in delivery.pieces:
                fingerprint.update(piece)
                yield piece

        keyed = None if idempotency_key is None else _keyed(fingerprints, caller, idempotency_key)
        first = None if keyed is None else self._first_use(keyed)
        if first is not None:
            for _ in pieces():  # whether it is the same request is known at its end
                pass
        else:
            arriving = _Arriving(
                self._database,
                self._sealer,
                fingerprints,
                workspace_id=caller.workspace_id,
                key_id=caller.key_id,
                request_id=request_id,
                expires_in=self._expires_in,
                normal_form=self._normal_form,
                hosted=self._hosted,
                traceparent=traceparent,
            )
            try:
                arriving.take(_read(replace(delivery, pieces=pieces())))
                if arriving.accept(None if keyed is None else replace(keyed, fingerprint=fingerprint.digest())):
                    return self._accepted(arriving.batch_id, request_id)
            finally:
                arriving.discard()
            assert keyed is not None
            first = self._first_use(keyed)  # somebody else's, in this very moment
            assert first is not None
        if first.fingerprint != fingerprint.digest():
            raise IdempotencyKeyReused
        return self._accepted(first.resource_id, first.request_id)

    def _first_use(self, keyed: KeyedRequest) -> FirstUse | None:
        with self._database.read() as connection:
            return idempotency.first_use(connection, keyed)

    def _accepted(self, batch_id: str, request_id: str) -> AcceptedDelivery:
        with self._database.read() as connection:
            return AcceptedDelivery(batch_intake.accepted_batch(connection, batch_id), request_id)


class _Arriving:
    """One batch that is staged, and is gone without a trace unless it is accepted."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        fingerprints: Fingerprints,
        *,
        workspace_id: str,
        key_id: str,
        request_id: str,
        expires_in: float,
        normal_form: Callable[[str], str],
        hosted: HostedService,
        traceparent: str | None,
    ) -> None:
        self.batch_id = new_id("cb")
        self._database = database
        self._sealer = sealer
        self._fingerprints = fingerprints
        self._workspace_id = workspace_id
        self._key_id = key_id
        self._request_id = request_id
        self._expires_in = expires_in
        self._normal_form = normal_form
        self._hosted = hosted
        self._traceparent = traceparent
        self._is_staged = False
        self._total = 0
        self._rows_of: dict[str, int] = {}
        """The accounts of the rows that will be tasks, and in which row each is."""
        self._profiles: dict[str | None, str | Issue] = {}
        """The profile for each way in which rows name one, None among them, or what is wrong with that."""

    def take(self, arriving: Iterator[Heading | SentRow]) -> None:
        """Stages all rows. Raises `ValidationFailed` when there are none, or for what is wrong with all of them."""
        heading = next(arriving)
        assert isinstance(heading, Heading)
        issues: list[Issue] = []
        platform = read_platform(heading.platform, issues)
        profile_id = read_profile_id(heading.profile_id, issues)
        if issues:
            raise refused(issues)
        rows = (row for row in arriving if isinstance(row, SentRow))
        batch = StagedBatch(
            self.batch_id,
            self._workspace_id,
            self._key_id,
            platform,
            self._request_id,
            self._expires_in,
            self._traceparent,
        )
        self._open(batch, profile_id)
        while sent := list(islice(rows, _ROWS_PER_TRANSACTION)):
            self._stage(batch, [read_row(row, PLATFORMS[platform], self._normal_form) for row in sent])
        if not self._total:
            raise body_fault("empty_file", "There are no rows.")

    def accept(self, keyed: KeyedRequest | None) -> bool:
        """False, and nothing accepted, when somebody else has used the key in the meantime."""
        with self._database.write() as connection:
            batch_intake.accept_batch(connection, self.batch_id, total=self._total, has_tasks=bool(self._rows_of))
            is_first = keyed is None or idempotency.insert_use(
                connection, keyed, resource_id=self.batch_id, request_id=self._request_id
            )
            if is_first and not self._rows_of:
                tell_finished(connection, self._workspace_id, self.batch_id)
            if not is_first:
                connection.rollback()
        if is_first:
            self._is_staged = False
            log.info("batch_accepted", batch_id=self.batch_id, rows=self._total, tasks=len(self._rows_of))
        return is_first

    def discard(self) -> None:
        """Takes back what is staged. What a database that is away keeps of it expires, and is pruned in time."""
        if not self._is_staged:
            return
        with contextlib.suppress(ServiceUnavailable):
            for first in range(1, self._total + 1, _ROWS_PER_TRANSACTION):
                with self._database.write() as connection:
                    batch_intake.delete_staged(
                        connection, self.batch_id, first=first, last=first + _ROWS_PER_TRANSACTION - 1
                    )
            with self._database.write() as connection:
                batch_intake.delete_batch_arriving(connection, self.batch_id)

    def _open(self, batch: StagedBatch, profile_id: str | None) -> None:
        with self._database.write() as connection:
            try:
                self._profiles[None] = resolve_profile(connection, self._workspace_id, profile_id)
            except ValidationFailed as error:
                if profile_id is not None:
                    raise
                (self._profiles[None],) = error.issues  # for the rows that name none either
            batch_intake.insert_batch(connection, batch)
            self._is_staged = True

    def _stage(self, batch: StagedBatch, read: list[Candidate | RejectedRow]) -> None:
        self._total += len(read)
        self._look_up({row.profile_id for row in read if isinstance(row, Candidate)})
        settled = [row if isinstance(row, RejectedRow) else self._settle(row) for row in read]
        tasks = [row for row in settled if isinstance(row, StagedRow)]
        rejections = [row for row in settled if isinstance(row, RejectedRow)]
        with self._database.write() as connection:
            if tasks:
                self._keep_profiles(connection, {task.profile_id for task in tasks})
                batch_intake.stage_rows(connection, batch, tasks)
            if rejections:
                batch_intake.stage_rejections(connection, batch, rejections)

    def _look_up(self, profile_ids: set[str | None]) -> None:
        if new := {profile_id for profile_id in profile_ids - self._profiles.keys() if profile_id is not None}:
            with self._database.read() as connection:
                known = batch_intake.known_profiles(connection, self._workspace_id, new)
            self._profiles |= {
                profile_id: profile_id if profile_id in known else unknown_profile() for profile_id in new
            }

    def _keep_profiles(self, connection: Connection, profile_ids: set[str]) -> None:
        """From here on they cannot be deleted, because their rows are tasks. One that was deleted since it was looked
        up refuses the batch: so rarely, that rows that were settled are not settled again."""
        if workspaces.keep_profiles(connection, self._workspace_id, profile_ids) != profile_ids:
            raise refused([unknown_profile()])

    def _settle(self, row: Candidate) -> StagedRow | RejectedRow:
        profile = self._profiles[row.profile_id]
        if isinstance(profile, Issue):
            return row.rejected(profile)
        if (earlier := self._rows_of.setdefault(row.account, row.sent.number)) != row.sent.number:
            message = f"Same account as row {earlier}."
            return row.rejected(Issue(field=row.identifier_name, code="duplicate_row", message=message))
        task_id = new_id("ct")
        return StagedRow(
            task_id=task_id,
            row=row.sent.number,
            profile_id=profile,
            external_ref=row.external_ref,
            # Where its only request goes is known already, so it need not be sent to find out.
            lane=self._hosted.host if self._hosted.gives_out(row.account) else "",
            sealed_credentials=self._sealer.seal(
                {"identifier": row.identifier, "password": row.password},
                SealedFor(task_id=task_id, workspace_id=self._workspace_id),
            ),
            fingerprint=self._fingerprints.of("row of a batch", task_id),
        )


def _keyed(fingerprints: Fingerprints, caller: Caller, key: str) -> KeyedRequest:
    """Without the request's fingerprint, which is known once all of it has arrived."""
    key_hash = fingerprints.of("idempotency key", key)
    return KeyedRequest(caller.workspace_id, _ENDPOINT, key_hash, fingerprint=b"")


def _read(delivery: Delivery) -> Iterator[Heading | SentRow]:
    """The heading, then the rows. Who asks for these has found that the platform is one of ours."""
    pieces = utf8(delivery.pieces)
    if delivery.format is BatchFormat.JSON:
        yield from read_json(pieces)
        return
    yield Heading(delivery.platform, delivery.profile_id)
    if delivery.format is BatchFormat.NDJSON:
        yield from read_ndjson(pieces)
    else:
        yield from read_csv(pieces, PLATFORMS[read_platform(delivery.platform, [])].fields)
