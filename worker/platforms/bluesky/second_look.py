"""Nobody is refused on the strength of a memory.

What is remembered of handles and documents can lead to a server that the account has just left, or to an account that
had the handle before. A refusal there is not the user's fault: it counts only once a fresh look-up leads to the same
place.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from connections.errors import HandleMismatch, IdentityUnusable, Refusal, TemporaryFailure
from worker.pace import promptly
from worker.platforms.bluesky.identity import Identity
from worker.ttl_cache import ANY_TIME

T = TypeVar("T")


def with_second_look(resolve: Callable[[float], Identity], use: Callable[[Identity], T]) -> T:
    """`use` of what `resolve` finds; if that is refused, once more where a fresh look-up leads elsewhere.

    `resolve(since)` believes nothing found before `since`, a `time.monotonic()` instant, so that a second look at what
    was fresh already costs nothing. Never uses the same place twice: refused logins count against the account.

    Raises what the two raise.
    """
    started = time.monotonic()
    try:
        identity = resolve(ANY_TIME)
    except (HandleMismatch, IdentityUnusable):
        identity = resolve(started)
    try:
        return use(identity)
    except Refusal as refusal:
        try:
            with promptly():
                fresh = resolve(started)
        except TemporaryFailure:
            raise refusal from None
        if (fresh.did, fresh.pds) == (identity.did, identity.pds):
            raise
    return use(fresh)
