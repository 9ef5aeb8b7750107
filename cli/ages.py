"""Spans of time, as short as people say them."""

from datetime import datetime

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def lasting(seconds: float) -> str:
    """`0.4 s`, `40 s`, `14 min`, `3 h`, `2 d`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    for length, unit in _UNITS:
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def answer_time(seconds: float) -> str:
    """`1.2 ms`, `140 ms`, `2.4 s`: what is short is worth a closer look."""
    if seconds >= 1:
        return lasting(seconds)
    return f"{1000 * seconds:.{1 if seconds < 0.00995 else 0}f} ms"


def relative(moment: datetime, now: datetime) -> str:
    """`14 min ago`, `in 40 s`."""
    seconds = (moment - now).total_seconds()
    return f"in {lasting(seconds)}" if seconds > 0 else f"{lasting(-seconds)} ago"
