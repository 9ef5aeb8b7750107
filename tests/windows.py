"""How much was asked of a host at a time."""

from collections.abc import Sequence


def most_in_a_window(times: Sequence[float], seconds: float) -> int:
    """The most of these instants that fall into so many seconds, wherever those begin."""
    times, first, most = sorted(times), 0, 0
    for last, moment in enumerate(times):
        while times[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
