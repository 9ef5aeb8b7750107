"""Stops knocking at a host that fails for everyone, and finds out by single probes when it is back.

A circuit breaker (Nygard, "Release It!") per host: *closed* while the host answers, *open* for a while once it has
failed for several accounts in a row, then *half-open* for one probe, which closes it or opens it for longer.

Kept by each worker process for itself: sharing it would save a few requests per outage and cost every login a round
trip.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import structlog

from connections.errors import HostFailing, OutOfBudget, PlatformError, UpstreamFailed

log = structlog.get_logger()

# Failures in a row, with no success among them, and the accounts they befell. One account whose server stumbles over it
# proves nothing about the host; neither does a host that refuses every third call.
FAILURES = 10
ACCOUNTS = 3

# Seconds without a call, after the first opening and at most.
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 30.0

# What a call must have left of its deadline to count for or against a host.
FAIR_SECONDS = 3.0

# A probe that has said nothing for so long is taken for lost.
PROBE_SECONDS = 60.0

# Hosts are named by strangers; those that answer are not kept, and of the others the latest.
_HOSTS = 4096


@dataclass(slots=True)
class _Host:
    """A host that has failed since it last answered. `openings` in a row; while it is 0 the circuit is closed.

    `is_probed` while a call is under way that finds out whether the host is back.
    """

    failures: int = 0
    accounts: set[str] = field(default_factory=set)
    openings: int = 0
    next_call_at: float = 0.0
    is_probed: bool = False


class Circuits:
    """One per worker process, used by its threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def watch(self, host: str, account: str, *, deadline: float) -> Iterator[None]:
        """Around a call to `host` on behalf of `account`. Raises `HostFailing`, without a call, while it is open.

        `UpstreamFailed` out of the block is a failure of the host, `OutOfBudget` means that there was no call. Any
        other outcome, refusals and rate limits among them, is an answer. A call that `deadline`, an instant of the
        clock, leaves no fair time proves nothing and finds out nothing: what came before it may have been a stranger's
        to draw out.
        """
        is_fair = deadline - self._clock() >= FAIR_SECONDS
        is_probe = self._admit(host, may_probe=is_fair)
        try:
            yield
        except HostFailing:
            raise  # another host's, met on the way
        except OutOfBudget:
            self._not_called(host, is_probe=is_probe)
            raise
        except UpstreamFailed:
            if is_fair:
                self._failed(host, account, is_probe=is_probe)
            raise
        except PlatformError:
            self._answered(host)
            raise
        self._answered(host)

    def open_count(self) -> int:
        """How many hosts are left alone for now."""
        with self._lock:
            return sum(state.openings > 0 for state in self._hosts.values())

    def _admit(self, host: str, *, may_probe: bool) -> bool:
        """Whether the call is a probe."""
        with self._lock:
            state = self._hosts.get(host)
            if state is None or not state.openings:
                return False
            remaining = state.next_call_at - self._clock()
            if remaining > 0 and not state.is_probed:
                raise HostFailing(retry_after=remaining)
            if remaining > 0 or not may_probe:
                raise HostFailing(retry_after=FIRST_PAUSE_SECONDS)  # the probe may be back any moment
            state.next_call_at = self._clock() + PROBE_SECONDS
            state.is_probed = True
            return True

    def _not_called(self, host: str, *, is_probe: bool) -> None:
        """The probe is somebody else's then."""
        with self._lock:
            state = self._hosts.get(host)
            if is_probe and state is not None:
                state.next_call_at = self._clock()

    def _answered(self, host: str) -> None:
        with self._lock:
            state = self._hosts.pop(host, None)
        if state is not None and state.openings:
            log.info("circuit_closed", host=host)

    def _failed(self, host: str, account: str, *, is_probe: bool) -> None:
        with self._lock:
            state = self._hosts.setdefault(host, _Host())
            self._hosts.move_to_end(host)
            if len(self._hosts) > _HOSTS:
                self._hosts.popitem(last=False)
            state.failures += 1
            if len(state.accounts) < ACCOUNTS:
                state.accounts.add(account)
            fails_for_everyone = state.failures >= FAILURES and len(state.accounts) >= ACCOUNTS
            # Calls that were under way when it opened fail late and tell nothing new.
            if not (is_probe or (fails_for_everyone and not state.openings)):
                return
            pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(state.openings, 16), LONGEST_PAUSE_SECONDS)
            state.openings += 1
            state.is_probed = False
            state.next_call_at = self._clock() + pause
        log.warning("circuit_opened", host=host, seconds=pause)
