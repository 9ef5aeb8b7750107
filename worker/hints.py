"""When to come back, read from a refused request's headers.

Headers are the other side's words and can be anything: what makes no sense is no hint.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

# Bluesky's longest window is a day, so no true hint is longer.
LONGEST_WAIT = 86_400.0

_COUNT = re.compile(r"[0-9]{1,12}", re.ASCII)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds to wait from `now` (epoch seconds), between 0 and a day, or None when the headers do not say.

    `headers` has lower-case names. `Retry-After` (RFC 9110 §10.2.3: seconds or a date) goes first, as it speaks of this
    very refusal; an overlong one is cut to a day. `ratelimit-reset` (epoch seconds) counts unless `ratelimit-remaining`
    says that requests are left: then a proxy relayed the refusal with the headers of another limit. One more than a day
    ahead is garbage rather than a wish, and ignored.
    """
    wait = _from_retry_after(headers.get("retry-after", ""), now)
    if wait is None:
        return _from_reset(headers.get("ratelimit-reset", ""), headers.get("ratelimit-remaining", ""), now)
    return wait


def _from_retry_after(value: str, now: float) -> float | None:
    value = value.strip()
    wait = float(value) if _COUNT.fullmatch(value) else _until_date(value, now)
    return None if wait is None else min(max(wait, 0.0), LONGEST_WAIT)


def _until_date(value: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
        # HTTP dates are UTC; one that does not say so is taken for one.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None


def _from_reset(reset: str, remaining: str, now: float) -> float | None:
    if not _COUNT.fullmatch(reset.strip()):
        return None
    if _COUNT.fullmatch(remaining.strip()) and int(remaining) > 0:
        return None
    wait = int(reset) - now
    return wait if 0.0 <= wait <= LONGEST_WAIT else None
