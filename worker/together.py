"""Accounts of rows, stored together: one transaction for many costs little more than one for each."""

import time
from collections.abc import Callable, Sequence
from typing import Self

from connections.verified import VerifiedAccount
from worker.settle import Held, Verified

# None waits longer to be stored: what is not is lost with its process, and its login with it.
_LONGEST_SECONDS = 1.0


class Together:
    """For one message, used by its thread. As a context it stores what is left at the end of the block."""

    def __init__(self, store: Callable[[Sequence[Verified]], None]) -> None:
        self._store = store
        self._rows: list[Verified] = []
        self._oldest = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store()

    def add(self, held: Held, account: VerifiedAccount) -> None:
        """Stores it with those that come within the next second."""
        now = time.monotonic()
        if not self._rows:
            self._oldest = now
        self._rows.append(Verified(held, account))
        if now - self._oldest >= _LONGEST_SECONDS:
            self.store()

    def store(self) -> None:
        """Stores what has been added and is not stored yet."""
        rows, self._rows = self._rows, []
        if rows:
            self._store(rows)
