"""Where the keys are kept: what a KMS or a secret manager must offer to take the place of the files."""

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from connections.settings import Environment
from connections.vault.ring import KeysMissing, ShimKeys, WorkerKeys


class KeysExist(Exception):
    """There is a key ring, or an excerpt of one. The message is its name."""


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


def generate_keys(store: KeyStore, environment: Environment) -> None:
    """Makes a ring and its excerpt. Raises `KeysExist` rather than replace either: the two must match."""
    with store.locked():
        _refuse_existing(store)
        ring = WorkerKeys.generate(environment)
        store.save_ring(ring)
        store.save_excerpt(ring.for_shim(ring.sealing[0].created_at))


def _refuse_existing(store: KeyStore) -> None:
    for name, load in ((store.ring_name, store.load_ring), (store.excerpt_name, store.load_excerpt)):
        try:
            load()
        except KeysMissing:
            continue
        raise KeysExist(name)
