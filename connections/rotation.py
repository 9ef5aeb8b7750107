"""Exchanges the keys while the service runs: new ones first, then the stored secrets, and the old ones go last.

Every step can be repeated and interrupted, and two processes may take them at once: the ring says how far a rotation
has come. More than one key of a kind means that it is not over.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from connections.db import Database
from connections.repository import keys as key_rows
from connections.repository.keys import ACCOUNT_TOKENS, RETIRED_TOKENS, WEBHOOK_SECRETS, SecretRow, Secrets
from connections.vault import (
    Cell,
    Key,
    KeysMissing,
    KeyStore,
    Opener,
    SealedFor,
    Sealer,
    ShimKeys,
    TokenCipher,
    UnreadableSecret,
    WorkerKeys,
)

# How long an old key is kept after the last moment at which a running process may have taken it up. Processes look for
# new keys every second; the longest transaction takes a quarter of this.
GRACE = timedelta(seconds=60)

BATCH_ROWS = 500

# How far the ring's `exchanged_at` may be behind. Each change of the ring costs a KMS a call, and every process a look.
_EXCHANGE_DATED_EVERY = timedelta(seconds=1)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def begin(store: KeyStore, database: Database, *, now: datetime) -> WorkerKeys:
    """Makes new keys current, unless a rotation is under way, and gives the API its excerpt. Returns the ring.

    The ring comes first: workers must be able to open whatever the API seals.
    """
    with store.locked():
        ring = store.load_ring()
        if not ring.is_rotating:
            with database.read() as connection:
                use = key_rows.keys_in_use(connection)
            # A ring from a backup may have forgotten ids that rows still name.
            ring = ring.rotated(now=now, used=[key_id for key_id in use.sealing | use.tokens if key_id is not None])
            store.save_ring(ring)
        if not _is_excerpt(_excerpt(store), ring):
            store.save_excerpt(ring.for_shim(written_at=now))
    return ring


@dataclass(frozen=True, slots=True)
class _Exchange:
    """How secrets of one kind come under the current key."""

    secrets: Secrets
    keys: Callable[[WorkerKeys], tuple[Key, ...]]
    under_current_key: Callable[[SecretRow, WorkerKeys], SecretRow]


@dataclass(frozen=True, slots=True)
class Exchanged:
    """How many rows were gone through, and the ids of those whose secrets do not open."""

    rows: int
    unreadable: tuple[str, ...]


def exchange_secrets(
    store: KeyStore,
    database: Database,
    *,
    clock: Callable[[], datetime],
    on_batch: Callable[[int], None] = lambda _rows: None,
) -> Exchanged:
    """Brings what is kept for long under the current keys, in short transactions of `BATCH_ROWS` rows.

    The ring says when that was last done: who has read a row before is given the grace period by every later run.
    Whoever writes a row in the meantime wins; if that was with the old key, the next run finds the row.
    """
    done, unreadable = 0, list[str]()
    for exchange in _EXCHANGES:
        for rows, failed in _exchanged(exchange, store, database, clock):
            done += rows
            unreadable += failed
            on_batch(rows + len(failed))
    return Exchanged(done, tuple(unreadable))


def _exchanged(
    exchange: _Exchange, store: KeyStore, database: Database, clock: Callable[[], datetime]
) -> Iterator[tuple[int, list[str]]]:
    """Of each transaction how many rows it has exchanged, and the ids of those that do not open."""
    secrets = exchange.secrets
    old = [key.id for key in exchange.keys(store.load_ring())[1:]]
    with database.read() as connection:
        in_use = key_rows.keys_of(connection, secrets)
    for key_id in [*(key_id for key_id in old if key_id in in_use), *({None} & in_use)]:
        after = ""
        while True:
            with database.read() as connection:
                rows = key_rows.secret_rows(connection, secrets, key_id, after=after, limit=BATCH_ROWS)
            if not rows:
                break
            # Anew for each batch: a rotation that outlives the next one must not bring rows under a key that retires.
            ring = store.load_ring()
            changes, unreadable = [], list[str]()
            for row in rows:
                try:
                    changes.append((row, exchange.under_current_key(row, ring)))
                except UnreadableSecret:
                    unreadable.append(row.id)
            if changes:
                _date_exchange(store, clock())
            with database.write() as connection:
                key_rows.replace_secrets(connection, secrets, changes, key_id=exchange.keys(ring)[0].id)
            after = rows[-1].id
            yield len(changes), unreadable


def retire(store: KeyStore, database: Database, *, now: datetime, grace: timedelta = GRACE) -> list[str]:
    """Takes the old keys that nobody needs any more out of the ring. Returns their ids."""
    with store.locked():
        ring = store.load_ring()
        if now < _settled_at(ring, _excerpt(store)) + grace:
            return []
        with database.read() as connection:
            use = key_rows.keys_in_use(connection)
        free = [key.id for key in _old(ring.sealing, use.sealing) + _old(ring.tokens, use.tokens)]
        if free:
            store.save_ring(ring.without(free))
    return free


class KeyState(StrEnum):
    """Where a key stands."""

    CURRENT = "current"
    NEEDED = "needed"
    """By rows: secrets that are yet to be exchanged, credentials of tasks that have not ended."""
    RETIRING = "retiring"
    """Not by any row, but a process may still be about to use it."""
    RETIRABLE = "retirable"
    LOST = "lost"
    """Rows name it and the ring does not have it."""
    UNNAMED = "unnamed"
    """No key: rows that do not say which one they have. An older version wrote them."""


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One line of `connector keys status`: `needed_by` so many rows of each kind that has any. `retires_at` is given
    while that depends on nothing but time."""

    kind: str
    id: str | None
    state: KeyState
    needed_by: tuple[tuple[Secrets, int], ...] = ()
    created_at: datetime | None = None
    retires_at: datetime | None = None

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.needed_by)

    @property
    def rows_to_exchange(self) -> int:
        """Those that need not be waited for."""
        return sum(rows for secrets, rows in self.needed_by if secrets in _EXCHANGED)


def report(store: KeyStore, database: Database, *, now: datetime, grace: timedelta = GRACE) -> list[KeyReport]:
    """Every key of the ring and every key that rows name, the current ones first."""
    ring = store.load_ring()
    retires_at = _settled_at(ring, _excerpt(store)) + grace
    kinds = (
        ("sealing", ring.sealing, key_rows.SEALED),
        ("tokens", ring.tokens, key_rows.ENCRYPTED),
    )
    reports = []
    with database.read() as connection:
        use = key_rows.keys_in_use(connection)
        for (kind, keys, stored), named in zip(kinds, (use.sealing, use.tokens), strict=True):
            unused = _old(keys, named)
            for key in keys:
                state = KeyState.CURRENT if key == keys[0] else KeyState.NEEDED
                if key in unused:
                    state = KeyState.RETIRING if now < retires_at else KeyState.RETIRABLE
                waits_until = retires_at if state is KeyState.RETIRING else None
                needed_by = _needed_by(connection, stored, key.id)
                reports.append(KeyReport(kind, key.id, state, needed_by, key.created_at, waits_until))
            for key_id in sorted(named - {key.id for key in keys}, key=str):
                state = KeyState.UNNAMED if key_id is None else KeyState.LOST
                reports.append(KeyReport(kind, key_id, state, _needed_by(connection, stored, key_id)))
    return reports


def _old(keys: tuple[Key, ...], named: Collection[str | None]) -> list[Key]:
    """The old keys that no row needs; none at all while there are rows that do not say what they need."""
    return [] if None in named else [key for key in keys[1:] if key.id not in named]


def _needed_by(
    connection: Connection, stored: Iterable[Secrets], key_id: str | None
) -> tuple[tuple[Secrets, int], ...]:
    counted = [(secrets, key_rows.count_secrets(connection, secrets, key_id)) for secrets in stored]
    return tuple((secrets, rows) for secrets, rows in counted if rows)


def _reencrypted(secrets: Secrets) -> Callable[[SecretRow, WorkerKeys], SecretRow]:
    """For tokens. A retired one is bound to the account's column, where it came from."""

    def under_current_key(row: SecretRow, ring: WorkerKeys) -> SecretRow:
        cipher = TokenCipher(ring)
        cells = [Cell(row.owner, column.name) for column in secrets.columns]
        tokens = [
            None if stored is None else cipher.encrypt(cipher.decrypt(stored, cell), cell)
            for stored, cell in zip(row.secrets, cells, strict=True)
        ]
        return replace(row, secrets=tuple(tokens))

    return under_current_key


def _resealed(row: SecretRow, ring: WorkerKeys) -> SecretRow:
    bound_to = SealedFor(task_id=row.id, workspace_id=row.owner)
    opener, sealer = Opener(ring), Sealer(ring.for_shim())
    sealed = [
        None if stored is None else sealer.seal(opener.open(stored, bound_to), bound_to) for stored in row.secrets
    ]
    return replace(row, secrets=tuple(sealed))


def _token_keys(ring: WorkerKeys) -> tuple[Key, ...]:
    return ring.tokens


def _sealing_keys(ring: WorkerKeys) -> tuple[Key, ...]:
    return ring.sealing


# Credentials of tasks are not among them: they end by themselves.
_EXCHANGES = (
    _Exchange(ACCOUNT_TOKENS, _token_keys, _reencrypted(ACCOUNT_TOKENS)),
    _Exchange(RETIRED_TOKENS, _token_keys, _reencrypted(RETIRED_TOKENS)),
    _Exchange(WEBHOOK_SECRETS, _sealing_keys, _resealed),
)
_EXCHANGED = frozenset(exchange.secrets for exchange in _EXCHANGES)


def _date_exchange(store: KeyStore, now: datetime) -> None:
    """Comes before the exchange: who is killed after it dates nothing."""
    with store.locked():
        ring = store.load_ring()
        if ring.exchanged_at is None or now - ring.exchanged_at >= _EXCHANGE_DATED_EVERY:
            store.save_ring(ring.exchanging(now=now))


def _settled_at(ring: WorkerKeys, excerpt: ShimKeys | None) -> datetime:
    """The last moment at which an old key may have been the right one to take."""
    written_at = None if excerpt is None else excerpt.written_at
    moments = (ring.sealing[0].created_at, ring.tokens[0].created_at, written_at, ring.exchanged_at)
    return max((moment for moment in moments if moment is not None), default=_LONG_AGO)


def _excerpt(store: KeyStore) -> ShimKeys | None:
    try:
        return store.load_excerpt()
    except KeysMissing:
        return None


def _is_excerpt(excerpt: ShimKeys | None, ring: WorkerKeys) -> bool:
    return excerpt is not None and excerpt == ring.for_shim(written_at=excerpt.written_at)
