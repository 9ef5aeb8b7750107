"""When a session is refreshed next. Everything is in seconds from now; `uniform(low, high)` is the jitter's source."""

from collections.abc import Callable

from connections.verified import Session

Uniform = Callable[[float, float], float]

# Accounts that were connected together are not due together for ever.
_JITTER = 0.1

# Of what is left of a refresh token: the other half is for a server that is down when it is due.
_SHARE_OF_TOKEN = 0.5

# Not sooner, whatever a token says of itself.
_SHORTEST = 30.0

# A refresh that failed may have replaced the token all the same, and the old one works for two more hours then: eight
# tries at least.
_FIRST_BACKOFF = 15.0
_LONGEST_BACKOFF = 900.0

# What a failing server may ask for, for the same reason. A rate limit may ask for more, if nothing else has failed
# before it: it has let nothing happen.
_LONGEST_WISH = 1800.0

# Out of budget there is a turn for one of many, so they come back at different times.
_SPREAD = 5.0


def next_refresh_in(interval: float, uniform: Uniform, *, token_left: float | None = None) -> float:
    """After a login or a refresh. `token_left` is how long the refresh token works, None when it does not say."""
    planned = interval * uniform(1 - _JITTER, 1 + _JITTER)
    return planned if token_left is None else max(_SHORTEST, min(planned, _SHARE_OF_TOKEN * token_left))


def token_left(session: Session, now: float) -> float | None:
    """For how long from `now`, in epoch seconds, the refresh token works by what it says of itself."""
    ends = session.refresh_expires_at
    return None if ends is None else ends.timestamp() - now


def retry_in(
    failures: int, uniform: Uniform, *, retry_after: float | None = None, is_rate_limit: bool = False
) -> float:
    """After so many failures in a row, 1 or more; `retry_after` is what the server asked for."""
    longest = min(_FIRST_BACKOFF * 2.0 ** min(failures - 1, 32), _LONGEST_BACKOFF)
    backoff = uniform(longest / 2, longest)
    if retry_after is None:
        return backoff
    wish = retry_after if is_rate_limit and failures == 1 else min(retry_after, _LONGEST_WISH)
    return max(backoff, wish + uniform(0.0, _SPREAD))


def next_turn_in(retry_after: float | None, uniform: Uniform) -> float:
    """After no request at all, because the host's budget is used up for so long."""
    return (retry_after or 0.0) + uniform(0.0, _SPREAD)


def host_back_in(uniform: Uniform) -> float:
    """After no request at all, because the host fails for everyone: others find out when it is back."""
    return uniform(_LONGEST_BACKOFF / 10, _LONGEST_BACKOFF)
