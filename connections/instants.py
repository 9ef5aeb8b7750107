"""Instants as callers write them: RFC 3339."""

import re
from datetime import UTC, datetime

from connections.contract import Issue

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_LEAP_SECOND = re.compile(r":60(\.\d+)?(?=[Z+-])")
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def read_instant(name: str, text: str | None, issues: list[Issue]) -> datetime | None:
    """In UTC, to the microsecond. None for nothing, and for what is no instant, which makes one more issue.

    A leap second, which Python has not, is the last instant before the next second.
    """
    if text is None:
        return None
    if _RFC3339.fullmatch(text):
        try:
            return _utc(datetime.fromisoformat(_LEAP_SECOND.sub(":59.999999", text.upper())))
        except ValueError:
            pass  # such as a 30th of February
    message = f"{name} must be an instant such as 2026-11-23T10:00:00Z (RFC 3339; a + in a query is written %2B)."
    issues.append(Issue(field=name, code="invalid_instant", message=message))
    return None


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # its offset leads out of the years that there are
        return _FIRST if moment.year == 1 else _LAST
