"""Where the keys are kept: what a KMS or a secret manager must offer to take the place of the files."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from connections.settings import Environment
from connections.vault.ring import KeysMissing, ShimKeys, WorkerKeys


class RingLost(Exception):
    """There is an excerpt, and not the ring that it is of. The message is the excerpt's name."""


@runtime_checkable
class KeyStore(Protocol):
    """One ring and the API's excerpt of it.

    Reading needs no lock: a reader gets what was saved last, or what was saved before it, whole. The API's processes
    only ever read the excerpt, so they need no right to anything else. Whatever goes wrong is a `SettingsError`.
    """

    ring_name: str
    """What a person calls it: a path, an ARN."""
    excerpt_name: str
    poll_seconds: float
    """How often a process looks for new keys: at most a tenth of the grace period of a rotation."""

    def load_ring(self) -> WorkerKeys:
        """Raises `KeysMissing` when there is none, `SettingsError` when it cannot be had."""

    def load_excerpt(self) -> ShimKeys:
        """Raises `KeysMissing` when there is none, `SettingsError` when it cannot be had."""

    def locked(self) -> AbstractContextManager[None]:
        """Keeps every other process that asks for it waiting. Whoever saves has loaded within the same lock."""

    def save_ring(self, keys: WorkerKeys) -> None:
        """Replaces the ring, all or nothing, and returns once that is durable."""

    def save_excerpt(self, keys: ShimKeys) -> None:
        """Replaces the excerpt, all or nothing, and returns once that is durable."""


def generate_keys(store: KeyStore, environment: Environment) -> list[str]:
    """Makes what is missing of a ring and its excerpt, and replaces neither. Returns the names of what it made.

    Raises `RingLost` rather than make a ring for an excerpt of another.
    """
    with store.locked():
        has_excerpt, made = _has_excerpt(store), list[str]()
        try:
            ring = store.load_ring()
        except KeysMissing:
            if has_excerpt:
                raise RingLost(store.excerpt_name) from None
            ring = WorkerKeys.generate(environment)
            store.save_ring(ring)
            made.append(store.ring_name)
        if not has_excerpt:
            store.save_excerpt(ring.for_shim(written_at=datetime.now(UTC)))
            made.append(store.excerpt_name)
    return made


def _has_excerpt(store: KeyStore) -> bool:
    try:
        store.load_excerpt()
    except KeysMissing:
        return False
    return True
