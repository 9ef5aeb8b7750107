"""What is said of a batch under way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.importing.progress import batch_lines, line_text, pace_text, share_text, wait_text
from connections.contract import Batch, BatchStatus, BatchWait, BatchWaitReason, RowStatus

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def batch(counts: dict[RowStatus, int], **more: Any) -> Batch:
    known: dict[str, Any] = {
        "id": "cb_1",
        "status": BatchStatus.RUNNING,
        "platform": "bluesky",
        "total": sum(counts.values()),
        "counts": {status: counts.get(status, 0) for status in RowStatus},
        "causes": {},
        "rate": None,
        "eta": None,
        "waits_for": None,
        "created_at": NOW,
        "canceled_at": None,
        "finished_at": None,
    }
    return Batch(**{**known, **more})


def test_all_in_one_line() -> None:
    counts = {RowStatus.CONNECTED: 6000, RowStatus.REJECTED: 200, RowStatus.RUNNING: 64, RowStatus.QUEUED: 3736}
    wait = BatchWait(reason=BatchWaitReason.RATE_LIMIT, host="pds.example", budget="3000/300", until=NOW)
    waiting = batch(counts, rate=10.04, eta=NOW + timedelta(minutes=6), waits_for=wait)

    assert line_text(waiting, NOW) == (
        "6,200 of 10,000 rows, 62 %; connected 6,000, rejected 200, running 64, waiting 3,736; "
        "10.0 rows/s, about 6 min left (10:06); waiting for the rate limit of pds.example (3,000 in 300 s)"
    )


@pytest.mark.parametrize(
    ("connected", "queued", "share"),
    [(0, 10_000, "0 %"), (9_999, 1, "99 %"), (10_000, 0, "100 %"), (0, 0, "100 %")],
)
def test_all_is_done_only_when_all_is(connected: int, queued: int, share: str) -> None:
    counts = {RowStatus.CONNECTED: connected, RowStatus.QUEUED: queued}
    assert share_text(batch(counts)).endswith(f", {share}")


@pytest.mark.parametrize(
    "more",
    [{}, {"rate": 0.0}, {"eta": NOW - timedelta(seconds=1)}, {"eta": NOW + timedelta(1), "finished_at": NOW}],
    ids=["nothing", "standstill", "past", "finished"],
)
def test_where_nothing_can_be_said_nothing_is(more: dict[str, Any]) -> None:
    assert pace_text(batch({}, **more), NOW) == ""


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (None, ""),
        (BatchWait(reason=BatchWaitReason.CAPACITY), "waiting for workers, which are all busy"),
        (
            BatchWait(reason=BatchWaitReason.RETRY, until=NOW + timedelta(seconds=90)),
            "waiting for rows that are to be tried again, until 10:01:30",
        ),
        (BatchWait(reason=BatchWaitReason.RATE_LIMIT), "waiting for the rate limit of a server"),
        (
            BatchWait(reason=BatchWaitReason.RATE_LIMIT, host="pds.example", budget="odd"),
            "waiting for the rate limit of pds.example (odd)",
        ),
    ],
)
def test_what_it_waits_for(wait: BatchWait | None, said: str) -> None:
    assert wait_text(wait, NOW) == said


def test_causes_by_how_often() -> None:
    failed = batch({RowStatus.FAILED: 4}, causes={"unauthorized": 1, "handle_not_found": 3})
    assert batch_lines(failed, NOW)[-2:] == ["         3  handle_not_found", "         1  unauthorized"]
