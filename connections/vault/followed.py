"""Keys that are replaced while the service runs, noticed without a restart."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import structlog

from connections.settings import SettingsError
from connections.vault.labels import KeyNotHeld
from connections.vault.ring import Key, ShimKeys, WorkerKeys

log = structlog.get_logger()

K_co = TypeVar("K_co", covariant=True)
K = TypeVar("K", bound=ShimKeys | WorkerKeys)


class KeySource(Protocol[K_co]):
    """Where ciphers find their keys: a ring itself, or `Followed`."""

    def latest(self) -> K_co:
        """The keys to use now."""

    def refreshed(self) -> K_co:
        """The keys, looked at again: for who has met a key that the latest ones lack."""


class Followed(Generic[K]):
    """One per process, used by its threads. Where the new keys cannot be read, it goes on with the last ones."""

    def __init__(self, load: Callable[[], K], *, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`load` reads the keys, again every so many seconds of use. Raises `SettingsError` when it does."""
        self._load = load
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._is_failing = False
        self._keys = load()

    def latest(self) -> K:
        """One thread looks again when it is time, and the others go on with what there is.

        After a pause they wait for it: what there is may have been replaced an hour ago, and be gone from the ring.
        """
        if (age := self._age()) >= self._every and self._lock.acquire(blocking=age >= 2 * self._every):
            try:
                if self._age() >= self._every:
                    self._look()
            finally:
                self._lock.release()
        return self._keys

    def refreshed(self) -> K:
        """Threads that ask at the same time share one look."""
        asked_at = self._clock()
        with self._lock:
            if self._looked_at <= asked_at:
                self._look()
        return self._keys

    def _age(self) -> float:
        return self._clock() - self._looked_at

    def _look(self) -> None:
        started_at = self._clock()
        try:
            keys = self._load()
        except SettingsError as error:
            if not self._is_failing:
                log.warning("keys_not_reloaded", cause=str(error), in_use=self._keys.ids)
            self._is_failing = True
        else:
            self._is_failing = False
            if keys.ids != self._keys.ids:  # not for its dates alone, which change each second of an exchange
                log.info("keys_reloaded", in_use=keys.ids)
            self._keys = keys
        # Last: who finds it recent does not wait for the look to end.
        self._looked_at = started_at


def held_key(keys: KeySource[WorkerKeys], kind: Callable[[WorkerKeys], Iterable[Key]], key_id: str) -> bytes:
    """The key of this id. Looks for a new ring at once when the one at hand lacks it, then raises `KeyNotHeld`."""
    for ring in (keys.latest, keys.refreshed):
        for key in kind(ring()):
            if key.id == key_id:
                return key.key
    raise KeyNotHeld(key_id)
