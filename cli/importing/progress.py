"""A batch under way, in words."""

import math
from datetime import datetime

from cli.wording import roughly
from connections.contract import UNFINISHED_ROWS, Batch, BatchWait, BatchWaitReason, RowStatus

# Ended rows first, as they are what people wait for.
_NAMES = {
    RowStatus.CONNECTED: "connected",
    RowStatus.ALREADY_CONNECTED: "already connected",
    RowStatus.FAILED: "failed",
    RowStatus.EXPIRED: "expired",
    RowStatus.CANCELED: "canceled",
    RowStatus.REJECTED: "rejected",
    RowStatus.RUNNING: "running",
    RowStatus.RETRYING: "to be tried again",
    RowStatus.QUEUED: "waiting",
}


def ended_rows(batch: Batch) -> int:
    return batch.total - sum(batch.counts.get(status, 0) for status in UNFINISHED_ROWS)


def share_text(batch: Batch) -> str:
    """`6,200 of 10,000 rows, 62 %`, rounded down: all is done only when all is."""
    ended = ended_rows(batch)
    percent = 100 * ended // batch.total if batch.total else 100
    return f"{ended:,} of {batch.total:,} rows, {percent} %"


def counts_text(batch: Batch) -> str:
    counts = {name: batch.counts.get(status, 0) for status, name in _NAMES.items()}
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def pace_text(batch: Batch, now: datetime) -> str:
    """`10.2 rows/s, about 6 min left (14:32)`; empty while nothing can be said. Times are of `now`'s zone."""
    parts = [f"{batch.rate:,.1f} rows/s"] if batch.rate else []
    if batch.eta is not None and batch.finished_at is None and batch.eta > now:
        left = math.ceil((batch.eta - now).total_seconds())
        parts.append(f"about {roughly(left)} left ({batch.eta.astimezone(now.tzinfo):%H:%M})")
    return ", ".join(parts)


def wait_text(wait: BatchWait | None, now: datetime) -> str:
    """What holds the rest back; empty when nothing does."""
    match wait:
        case None:
            return ""
        case BatchWait(reason=BatchWaitReason.RATE_LIMIT):
            budget = f" ({_budget(wait.budget)})" if wait.budget else ""
            what = f"the rate limit of {wait.host or 'a server'}{budget}"
        case BatchWait(reason=BatchWaitReason.CAPACITY):
            what = "workers, which are all busy"
        case _:
            what = "rows that are to be tried again"
    until = f", until {wait.until.astimezone(now.tzinfo):%H:%M:%S}" if wait.until and wait.until > now else ""
    return f"waiting for {what}{until}"


def line_text(batch: Batch, now: datetime) -> str:
    """All of it in one line."""
    parts = (share_text(batch), counts_text(batch), pace_text(batch, now), wait_text(batch.waits_for, now))
    return "; ".join(filter(None, parts))


def batch_lines(batch: Batch, now: datetime) -> list[str]:
    """All of it, and what went wrong how often."""
    said = (share_text(batch), counts_text(batch), pace_text(batch, now), wait_text(batch.waits_for, now))
    causes = sorted(batch.causes.items(), key=lambda cause: (-cause[1], cause[0]))
    return [
        f"Batch {batch.id}: {batch.status}",
        *(f"  {text}" for text in said if text),
        *(f"  {rows:>8,}  {cause}" for cause, rows in causes),
    ]


def _budget(budget: str) -> str:
    """`3000/300` as `3,000 in 300 s`."""
    count, _, seconds = budget.partition("/")
    return f"{int(count):,} in {seconds} s" if count.isdecimal() and seconds.isdecimal() else budget
