"""Whose turn a request is: what the way out and the platforms ask before they call anybody.

`worker.pacing` answers it for real; the names stand here, apart from Redis, for those who ask.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol

Answered = Callable[[int, Mapping[str, str]], None]
"""Told an answer's status and its headers, with lower-case names."""

_IS_BULK: ContextVar[bool] = ContextVar("is_bulk", default=False)


@contextmanager
def bulk() -> Iterator[None]:
    """What runs inside is a batch's: it takes its turn behind everybody who waits."""
    with _set(True):
        yield


@contextmanager
def promptly() -> Iterator[None]:
    """What runs inside goes ahead of batches even in one of their rows: what tidies up after a login that was made
    cannot be left for another try."""
    with _set(False):
        yield


def is_bulk() -> bool:
    return _IS_BULK.get()


@contextmanager
def _set(value: bool) -> Iterator[None]:
    token = _IS_BULK.set(value)
    try:
        yield
    finally:
        _IS_BULK.reset(token)


class Pace(Protocol):
    """Implementations are used by many threads at once. `host` is a URL's host, with the port it names, if any."""

    def request(
        self, host: str, call: str, *, deadline: float, login_of: str | None = None
    ) -> AbstractContextManager[Answered]:
        """Around one HTTP request; begins when its turn has come. `call` is its HTTP method, `login_of` the account
        that it logs in to, if it does.

        What it gives is called with the answer. Raises `OutOfBudget` when the turn comes too late for this attempt or
        for `deadline`, a `time.monotonic()` instant, and when the account has had too many logins lately.
        """
        ...

    def ahead(self, host: str, logins_of: Collection[str]) -> AbstractContextManager[None]:
        """Around requests that log in to these accounts, one after the other: those whose turn would come at once have
        it from the beginning, and need not ask. What is not used until the end is given back."""
        ...

    def wants_look(self, host: str) -> bool:
        """Whether it is time for a request whose answer shows what is left of the host's limit. True once per look."""
        ...


class Unpaced:
    """A `Pace` for a process that is alone and in no danger of asking too much."""

    def request(
        self,
        host: str,  # noqa: ARG002
        call: str,  # noqa: ARG002
        *,
        deadline: float,  # noqa: ARG002
        login_of: str | None = None,  # noqa: ARG002
    ) -> AbstractContextManager[Answered]:
        return nullcontext(lambda status, headers: None)  # noqa: ARG005

    def ahead(self, host: str, logins_of: Collection[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def wants_look(self, host: str) -> bool:  # noqa: ARG002
        return False
