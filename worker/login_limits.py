"""Keeps the service from being a machine that guesses passwords: failed logins are limited per account and workspace.

Each limit is a log of the logins of its last `seconds` in Redis, a sorted set by time (a "sliding window log"). A login
is entered before it is made, so that a thousand guesses sent at once are not all let through because none of them has
failed yet: for two minutes, unless it is taken out because it did not fail, or entered in full because it did.

A log that is full of logins under way, and not of failures, holds the next one up for a second: fifty honest callers
at once are no guessers.

Emptying Redis forgets the failures. That gives a guesser one window more and an honest caller nothing to complain of;
durable counters would cost every connect another transaction.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import redis
import structlog

from connections.errors import RateLimited, Refusal
from connections.rate import Rate
from connections.repository.tasks import ClaimedTask
from worker.platforms.base import BeforeLogin

log = structlog.get_logger()

_PREFIX = "connector:failed-logins"

# Microseconds throughout: the server's clock, whole and exact as a score. ARGV: the entry, count and window of each
# limit, for how long an entry counts whose end nobody tells, and how soon to come back where logins under way, and not
# failures, fill a log. The entry of a failure begins with an f.
_ENTER = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  redis.call('ZREM', key, ARGV[1])
  local excess = redis.call('ZCARD', key) - count
  if excess >= 0 then
    local failures = 0
    for _, one in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      if string.sub(one, 1, 1) == 'f' then failures = failures + 1 end
    end
    if failures < count then return {i, tonumber(ARGV[#ARGV])} end
    local leaves_next = redis.call('ZRANGE', key, excess, excess, 'WITHSCORES')
    return {i, leaves_next[2] + window - now}
  end
end
for i, key in ipairs(KEYS) do
  local window = tonumber(ARGV[2 * i + 1])
  local leaves_in = math.min(window, tonumber(ARGV[#ARGV - 1]))
  redis.call('ZADD', key, string.format('%.0f', now - window + leaves_in), ARGV[1])
  redis.call('PEXPIRE', key, window / 1000)
end
return {0, 0}
"""

# ARGV: the entry, and the window of each limit.
_HAS_FAILED = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  redis.call('ZREM', key, ARGV[1])
  redis.call('ZADD', key, string.format('%.0f', now), 'f' .. ARGV[1])
  redis.call('PEXPIRE', key, ARGV[1 + i] / 1000)
end
"""

# The longest attempt that the settings allow.
_UNDER_WAY_SECONDS = 120

# A login under way is over in about that time, and has most likely not failed.
_SOON_SECONDS = 1


class _Limit(NamedTuple):
    key: str
    rate: Rate
    message: str


class LoginLimits:
    """One per worker process, used by its threads."""

    def __init__(self, client: redis.Redis, *, per_account: Rate, per_workspace: Rate) -> None:
        """How many failed logins an account, in all workspaces together, and a workspace may have."""
        self._redis = client
        self._enter_script = client.register_script(_ENTER)
        self._has_failed_script = client.register_script(_HAS_FAILED)
        self._per_account = per_account
        self._per_workspace = per_workspace
        self._mine = threading.local()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What logins take out again is taken out at the end of the block, in one round trip. Until then a login that
        has succeeded counts as one under way.
        """
        withdrawn: list[tuple[str, str]] = []
        self._mine.withdrawn = withdrawn
        try:
            yield
        finally:
            self._mine.withdrawn = None
            self._withdraw(withdrawn)

    @contextmanager
    def count(self, task: ClaimedTask) -> Iterator[BeforeLogin]:
        """Gives what to call before an account is logged in to, by its id, its name or both.

        That raises `RateLimited` when too many logins to the account or of the workspace have failed lately. A
        `Refusal` that comes out of the block counts; any other failure says nothing about the password and does not.
        """
        entry = f"{task.id}/{task.fence}"
        entered: set[_Limit] = set()

        def enter(external_id: str | None, name: str | None) -> None:
            limits = self._limits(task, [one for one in (external_id, name) if one is not None])
            self._enter(limits, entry)
            entered.update(limits)

        try:
            yield enter
        except Refusal:
            self._has_failed(entered, entry)
            raise
        except BaseException:
            self._take_out(entered, entry)
            raise
        self._take_out(entered, entry)

    def _limits(self, task: ClaimedTask, accounts: Sequence[str]) -> tuple[_Limit, ...]:
        """An account is counted under its id and its name, so that who guesses gains nothing by using both in turn."""
        return (
            *(
                _Limit(
                    f"{_PREFIX}:account:{task.platform}:{account}",
                    self._per_account,
                    "Too many failed logins to this account. Wait before the next one.",
                )
                for account in accounts
            ),
            _Limit(
                f"{_PREFIX}:workspace:{task.workspace_id}",
                self._per_workspace,
                "Too many failed logins in this workspace. Wait before the next one.",
            ),
        )

    def _enter(self, limits: Sequence[_Limit], entry: str) -> None:
        sizes = [number for limit in limits for number in (limit.rate.count, limit.rate.seconds * 1_000_000)]
        try:
            full, microseconds = self._enter_script(
                keys=[limit.key for limit in limits],
                args=[entry, *sizes, _UNDER_WAY_SECONDS * 1_000_000, _SOON_SECONDS * 1_000_000],
            )
        except redis.RedisError as error:
            # Logins go on: the platform limits them too, and no caller can bring this about.
            log.warning("login_not_counted", cause=type(error).__name__)
            return
        if full:
            raise RateLimited(limits[full - 1].message, retry_after=microseconds / 1_000_000)

    def _has_failed(self, limits: Collection[_Limit], entry: str) -> None:
        if not limits:
            return
        windows = [limit.rate.seconds * 1_000_000 for limit in limits]
        try:
            self._has_failed_script(keys=[limit.key for limit in limits], args=[entry, *windows])
        except redis.RedisError as error:
            log.warning("failed_login_not_counted", cause=type(error).__name__)

    def _take_out(self, limits: Collection[_Limit], entry: str) -> None:
        out = [(limit.key, entry) for limit in limits]
        withdrawn: list[tuple[str, str]] | None = getattr(self._mine, "withdrawn", None)
        if withdrawn is None:
            self._withdraw(out)
        else:
            withdrawn += out

    def _withdraw(self, out: Sequence[tuple[str, str]]) -> None:
        """Takes entries out of their logs, each a key and the entry."""
        entries = defaultdict[str, list[str]](list)
        for key, entry in out:
            entries[key].append(entry)
        if not entries:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for key, gone in entries.items():
                    pipeline.zrem(key, *gone)
                pipeline.execute()
        except redis.RedisError as error:
            log.warning("login_not_withdrawn", cause=type(error).__name__)
