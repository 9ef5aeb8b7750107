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
from dataclasses import dataclass, field
from typing import NamedTuple

import redis
import structlog

from connections.errors import RateLimited, Refusal
from connections.rate import Rate
from connections.repository.attempts import ClaimedTask
from worker.platforms.base import BeforeLogin

log = structlog.get_logger()

_PREFIX = "connector:failed-logins"

# Microseconds throughout: the server's clock, whole and exact as a score. The entry of a failure begins with an f.
_SHARED = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function excess(key, entry, count, window)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  redis.call('ZREM', key, entry)
  return redis.call('ZCARD', key) - count
end
local function enter(key, entry, window, under_way)
  redis.call('ZADD', key, string.format('%.0f', now - window + math.min(window, under_way)), entry)
  redis.call('PEXPIRE', key, window / 1000)
end
"""

# ARGV: the entry, count and window of each limit, for how long an entry counts whose end nobody tells, and how soon to
# come back where logins under way, and not failures, fill a log.
_ENTER = (
    _SHARED
    + """
for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local over = excess(key, ARGV[1], count, window)
  if over >= 0 then
    local failures = 0
    for _, one in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      if string.sub(one, 1, 1) == 'f' then failures = failures + 1 end
    end
    if failures < count then return {i, tonumber(ARGV[#ARGV])} end
    local leaves_next = redis.call('ZRANGE', key, over, over, 'WITHSCORES')
    return {i, leaves_next[2] + window - now}
  end
end
for i, key in ipairs(KEYS) do
  enter(key, ARGV[1], tonumber(ARGV[2 * i + 1]), tonumber(ARGV[#ARGV - 1]))
end
return {0, 0}
"""
)

# Each entry into its own log, where there is room. ARGV: for how long they count, and the entry, count and window of
# each. Gives those that were entered, counted from 0.
_ENTER_AHEAD = (
    _SHARED
    + """
local entered = {}
for i, key in ipairs(KEYS) do
  local entry, count, window = ARGV[3 * i - 1], tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if excess(key, entry, count, window) < 0 then
    enter(key, entry, window, tonumber(ARGV[1]))
    entered[#entered + 1] = i - 1
  end
end
return entered
"""
)

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


class _Entry(NamedTuple):
    """In the log of this key."""

    key: str
    entry: str


@dataclass(slots=True)
class _Message:
    """What was entered `ahead`, for one login or, as `_ANYBODY`, for all of them; and what is to be taken `out`."""

    ahead: set[_Entry] = field(default_factory=set)
    out: list[_Entry] = field(default_factory=list)

    def has(self, key: str, entry: str) -> bool:
        return _Entry(key, entry) in self.ahead or _Entry(key, _ANYBODY) in self.ahead


_ANYBODY = ""


def _entry_of(task: ClaimedTask) -> str:
    return f"{task.id}/{task.fence}"


class LoginLimits:
    """One per worker process, used by its threads."""

    def __init__(self, client: redis.Redis, *, per_account: Rate, per_workspace: Rate) -> None:
        """How many failed logins an account, in all workspaces together, and a workspace may have."""
        self._redis = client
        self._enter_script = client.register_script(_ENTER)
        self._enter_ahead_script = client.register_script(_ENTER_AHEAD)
        self._has_failed_script = client.register_script(_HAS_FAILED)
        self._per_account = per_account
        self._per_workspace = per_workspace
        self._mine = threading.local()

    @contextmanager
    def together(self, logins: Sequence[tuple[ClaimedTask, str]] = ()) -> Iterator[None]:
        """For logins that this thread makes one after the other.

        Those that are known, by their tasks and the names of the accounts, are entered at once, where there is room,
        and what they all take out again is taken out at the end of the block: two round trips instead of two each.
        Until then a login that has succeeded counts as one under way, though for its workspace there is only one.
        """
        message = _Message()
        self._enter_ahead(message, logins)
        self._mine.message = message
        try:
            yield
        finally:
            self._mine.message = None
            self._withdraw(message.out)

    @contextmanager
    def count(self, task: ClaimedTask) -> Iterator[BeforeLogin]:
        """Gives what to call before an account is logged in to, by its id, its name or both.

        That raises `RateLimited` when too many logins to the account or of the workspace have failed lately. A
        `Refusal` that comes out of the block counts; any other failure says nothing about the password and does not.
        """
        entry = _entry_of(task)
        message: _Message | None = getattr(self._mine, "message", None)
        entered: set[_Limit] = set()
        out: list[_Entry] = []

        def enter(external_id: str | None, name: str | None) -> None:
            limits = self._limits(task, [one for one in (external_id, name) if one is not None])
            missing = [limit for limit in limits if message is None or not message.has(limit.key, entry)]
            if missing:
                self._enter(missing, entry)
            entered.update(limits)
            out.extend(_Entry(limit.key, entry) for limit in missing)

        try:
            yield enter
        except Refusal:
            self._has_failed(entered, entry)
            if message is not None:  # the next one has to see whether there is still room
                message.ahead.difference_update(_Entry(limit.key, _ANYBODY) for limit in entered)
            raise
        except BaseException:
            self._take_out(out, message)
            raise
        self._take_out(out, message)

    def _limits(self, task: ClaimedTask, accounts: Sequence[str]) -> tuple[_Limit, ...]:
        """An account is counted under its id and its name, so that who guesses gains nothing by using both in turn."""
        return (*(self._of_account(task, account) for account in accounts), self._of_workspace(task))

    def _of_account(self, task: ClaimedTask, account: str) -> _Limit:
        return _Limit(
            f"{_PREFIX}:account:{task.platform}:{account}",
            self._per_account,
            "Too many failed logins to this account. Wait before the next one.",
        )

    def _of_workspace(self, task: ClaimedTask) -> _Limit:
        return _Limit(
            f"{_PREFIX}:workspace:{task.workspace_id}",
            self._per_workspace,
            "Too many failed logins in this workspace. Wait before the next one.",
        )

    def _enter_ahead(self, message: _Message, logins: Sequence[tuple[ClaimedTask, str]]) -> None:
        """One login of a message is under way at a time, so its workspace has one entry, whoever's turn it is."""
        entries = [(self._of_account(task, name), _entry_of(task)) for task, name in logins]
        shared = {limit.key: (limit, _entry_of(task)) for task, _ in logins for limit in [self._of_workspace(task)]}
        wanted = [*entries, *shared.values()]
        if not wanted:
            return
        sizes = [
            value for limit, entry in wanted for value in (entry, limit.rate.count, limit.rate.seconds * 1_000_000)
        ]
        try:
            entered = self._enter_ahead_script(
                keys=[limit.key for limit, _ in wanted], args=[_UNDER_WAY_SECONDS * 1_000_000, *sizes]
            )
        except redis.RedisError as error:
            log.warning("logins_not_entered", cause=type(error).__name__)  # each is tried again in its turn
            return
        for number in entered:
            limit, entry = wanted[number]
            message.out.append(_Entry(limit.key, entry))
            message.ahead.add(_Entry(limit.key, entry if number < len(entries) else _ANYBODY))

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

    def _take_out(self, out: Sequence[_Entry], message: _Message | None) -> None:
        if message is None:
            self._withdraw(out)
        else:
            message.out += out

    def _withdraw(self, out: Sequence[_Entry]) -> None:
        """Takes entries out of their logs."""
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
