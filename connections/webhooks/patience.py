"""How long a delivery waits for its next attempt, and a receiver that fails for its next delivery. Pure; seconds."""

_FIRST_DELAY, _LONGEST_DELAY = 5.0, 3600.0

# One failure, or two, can be of the event. After more the receiver is taken for one that is down.
_PAUSED_FROM = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0

# More doublings than these are beyond every cap.
_MOST_DOUBLINGS = 20


def next_delay(attempts: int, *, jitter: float, asked: float | None = None) -> float:
    """After this many attempts, 1 at least: doubles from 5 seconds to an hour.

    `jitter`, between 0 and 1, says where in the upper half of it: those that failed together do not come again
    together. `asked` is what the receiver asks for, of which no more than an hour is heard.
    """
    longest = min(_FIRST_DELAY * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS), _LONGEST_DELAY)
    return max(longest * (0.5 + jitter / 2), _heard(asked))


def pause(failures: int, *, asked: float | None = None) -> float:
    """After this many failures in a row, for whatever reason: doubles from 5 seconds to 5 minutes, 0 for the first
    few unless the receiver asks for more."""
    doublings = min(failures - _PAUSED_FROM, _MOST_DOUBLINGS)
    own = min(_FIRST_PAUSE * 2.0**doublings, _LONGEST_PAUSE) if doublings >= 0 else 0.0
    return max(own, _heard(asked))


def _heard(asked: float | None) -> float:
    return min(asked or 0.0, _LONGEST_DELAY)
