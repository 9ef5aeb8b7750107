"""What an answer says about its host's rate limit.

Headers are the other side's words and can be anything: what makes no sense says nothing. Names and units follow
draft-polli-ratelimit-headers-02, as `@atproto/xrpc-server` sends them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from worker.hints import retry_after

# The largest of Bluesky's limits for one account. An answer shows the tightest bucket, so up to here a POST's may be
# that of the account it is about.
LARGEST_ACCOUNT_LIMIT = 300

LONGEST_WINDOW = 86_400

# A clock that differs by more is not ours; below it, ours is finer than the whole seconds of `Date`.
_SAME_CLOCK_SECONDS = 2.0

# What a refusal that names no end stops a host for, as a share of the window.
_SHORT_STOP = 0.01

_COUNT = re.compile(r"[0-9]{1,12}", re.ASCII)
_POLICY = re.compile(r"([0-9]{1,9})\s*;\s*w=([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bucket:
    """`remaining` of `limit` requests for the next `left` seconds of a window of `window` seconds."""

    limit: int
    remaining: int
    left: float
    window: int


@dataclass(frozen=True, slots=True)
class Stop:
    """No request for `seconds`. `used` is the share of the window that had passed, where that is all there is to go by:
    a bucket tells more."""

    seconds: float
    used: float | None


def read_bucket(headers: Mapping[str, str], *, now: float) -> Bucket | None:
    """The bucket that the headers show, None when they do not or contradict themselves. `now` is in epoch seconds.

    `ratelimit-reset` is cut to whole seconds: the window ends within the second after it.
    """
    policy = _POLICY.fullmatch(headers.get("ratelimit-policy", "").strip())
    limit = _count(headers, "ratelimit-limit")
    remaining = _count(headers, "ratelimit-remaining")
    reset = _count(headers, "ratelimit-reset")
    if policy is None or limit is None or remaining is None or reset is None:
        return None
    window = int(policy[2])
    left = reset - _clock(headers, now)
    is_sane = int(policy[1]) == limit and limit >= 1 and remaining <= limit and 1 <= window <= LONGEST_WINDOW
    if not is_sane or not -1.0 <= left <= window + _SAME_CLOCK_SECONDS:
        return None
    return Bucket(limit, remaining, min(max(left + 0.5, 0.0), float(window)), window)


def is_hosts(bucket: Bucket, call: str) -> bool:
    """Whether the bucket is the host's own, rather than that of the account which `call` (an HTTP method) is about."""
    return call == "GET" or bucket.limit > LARGEST_ACCOUNT_LIMIT


def read_stop(
    bucket: Bucket | None, call: str, headers: Mapping[str, str], *, now: float, longest: float
) -> Stop | None:
    """What a 429 means to the other requests to its host: None when it is about one account.

    `longest` bounds the stop, in seconds: a stranger's word is not believed for longer than a window of ours.
    """
    if bucket is not None and not is_hosts(bucket, call):
        return None
    short = _SHORT_STOP * longest
    if bucket is not None and bucket.remaining > 0:
        return Stop(short, None)  # relayed, with the headers of a limit that was not hit
    wait = retry_after({"retry-after": headers.get("retry-after", "")}, now=now)
    if wait is None:
        return Stop(short if bucket is None else min(bucket.left + 0.5, longest), None)
    wait = min(max(wait, short), longest)
    return Stop(wait, 1.0 - wait / longest if bucket is None else None)


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "").strip()
    return int(value) if _COUNT.fullmatch(value) else None


def _clock(headers: Mapping[str, str], now: float) -> float:
    try:
        theirs = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return now
    return now if abs(theirs - now) <= _SAME_CLOCK_SECONDS else theirs
