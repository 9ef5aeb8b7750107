"""A snapshot as people and monitors see it."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from cli.status.facts import as_json
from cli.status.picture import batches_for, picture
from cli.status.snapshot import Moving, Snapshot, free_threads
from connections.contract import Batch, BatchStatus, BatchWait, BatchWaitReason, RowStatus, TaskStatus
from connections.repository.observing import Ending, HostQueue, InFlightTally
from worker.pacing import Room

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
QUICK = Room(requests=588.4, rate=9.8, wait=0.0, seconds=0.4)
USED_UP = Room(requests=0.0, rate=9.8, wait=70.0, seconds=None)

IN_FLIGHT = (
    InFlightTally("connect", TaskStatus.QUEUED, 3, 1.2),
    InFlightTally("connect", TaskStatus.RUNNING, 12, 0.8),
    InFlightTally("connect.bulk", TaskStatus.QUEUED, 8120, 240.0),
    InFlightTally("connect.bulk", TaskStatus.RUNNING, 64, 200.0),
)
MESSAGES = {"connect": 5, "connect.bulk": 0, "connect.control": 1, "connect.upkeep": 0}

BATCH = Batch(
    id="cb_01jd",
    status=BatchStatus.RUNNING,
    platform="bluesky",
    total=10_000,
    counts=dict.fromkeys(RowStatus, 0) | {RowStatus.CONNECTED: 6000, RowStatus.FAILED: 200, RowStatus.QUEUED: 3800},
    causes={"unauthorized": 200},
    rate=10.2,
    eta=NOW + timedelta(minutes=6),
    waits_for=BatchWait(reason=BatchWaitReason.RATE_LIMIT, host="bsky.social"),
    created_at=NOW,
    canceled_at=None,
    finished_at=None,
)


def snapshot(**more: Any) -> Snapshot:
    known: dict[str, Any] = {
        "now": NOW,
        "in_flight": IN_FLIGHT,
        "batches": (BATCH,),
        "open_batches": 1,
        "hosts": (HostQueue("bsky.social", 8000, 21), HostQueue("", 120, 120)),
        "under_way": {"bsky.social": 64},
        "endings": (Ending(TaskStatus.SUCCEEDED, None, 512), Ending(TaskStatus.FAILED, "handle_not_found", 3)),
        "moving": Moving(MESSAGES, (64, 64), {"bsky.social": QUICK, "plc.directory": USED_UP}),
    }
    return Snapshot(**{**known, **more})


NOTHING = snapshot(
    in_flight=(),
    batches=(),
    open_batches=0,
    hosts=(),
    under_way={},
    endings=(),
    moving=Moving(dict.fromkeys(MESSAGES, 0), (), {}),
)


def drawn(seen: Snapshot) -> list[str]:
    """On 80 columns, without colours."""
    console = Console(file=io.StringIO(), width=80, highlight=False, markup=False)
    console.print(picture(seen, "db.example:5432/connector", NOW))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def words(lines: Sequence[str], first: str) -> list[str]:
    """The line of a table that begins so, as words."""
    [line] = [line for line in lines if line.startswith(first)]
    return line.split()


def test_everything_is_on_one_screen() -> None:
    lines = drawn(snapshot())
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["db.example:5432/connector", "10:00:00"]


def test_queues() -> None:
    lines = drawn(snapshot())
    assert words(lines, "queue") == ["queue", "queued", "running", "retrying", "oldest", "messages"]
    assert words(lines, "connect ") == ["connect", "3", "12", "-", "1.2", "s", "5"]
    assert words(lines, "connect.bulk") == ["connect.bulk", "8,120", "64", "-", "4", "min", "-"]
    assert words(lines, "connect.control") == ["connect.control", "-", "-", "-", "-", "1"]


def test_hosts_that_rows_wait_for_come_before_those_that_are_always_there() -> None:
    lines = drawn(snapshot())
    assert words(lines, "bsky.social") == ["bsky.social", "8,000", "21", "64", "now", "588", "400", "ms"]
    assert words(lines, "not known yet") == ["not", "known", "yet", "120", "120", "-", "-", "-", "-"]
    assert words(lines, "plc.directory") == ["plc.directory", "-", "-", "-", "in", "70", "s", "0", "-"]
    names = [line.split()[0] for line in lines if line.startswith(("bsky.social", "not known", "plc.directory"))]
    assert names == ["bsky.social", "not", "plc.directory"]


def test_batches() -> None:
    lines = drawn(snapshot())
    assert [line for line in lines if line.startswith("cb_01jd") and "6,200 of 10,000 rows, 62 %" in line]
    assert "  connected 6,000, failed 200, waiting 3,800" in lines
    assert "  10.2 rows/s, about 6 min left (10:06); waiting for the rate limit of" in lines


def test_batches_that_have_no_room_are_counted() -> None:
    assert not [line for line in drawn(snapshot()) if line.endswith(" more")]
    assert "and 1 batch more" in drawn(snapshot(open_batches=2))
    assert "and 12 batches more" in drawn(snapshot(open_batches=13))


@pytest.mark.parametrize(("height", "batches"), [(1, 1), (27, 1), (32, 2), (42, 4), (100, 4)])
def test_a_full_screen_is_full_and_no_more(height: int, batches: int) -> None:
    assert batches_for(height) == batches
    busy = snapshot(
        batches=(BATCH,) * batches, open_batches=99, hosts=tuple(HostQueue(f"pds{n}.example", 9, 9) for n in range(9))
    )
    assert height < 27 or len(drawn(busy)) <= height


def test_endings() -> None:
    assert "ended in the last minute: connected 512, handle_not_found 3" in drawn(snapshot())


def test_a_service_with_nothing_to_do() -> None:
    lines = drawn(NOTHING)
    assert words(lines, "connect ") == ["connect", "-", "-", "-", "-", "-"]
    assert "No worker is alive; `connector doctor` looks further." in lines
    assert "ended in the last minute: none" in lines


def test_without_redis_the_tables_still_tell() -> None:
    lines = drawn(snapshot(moving="nothing listens there"))
    assert "Redis: nothing listens there" in lines
    assert words(lines, "connect ") == ["connect", "3", "12", "-", "1.2", "s", "?"]
    assert words(lines, "bsky.social") == ["bsky.social", "8,000", "21", "64", "-", "-", "-"]


@pytest.mark.parametrize(
    ("more", "free"),
    [
        # Twelve callers, and 64 rows of which two share a thread, because the host takes 0.4 s for each.
        ({}, 128 - 12 - 32),
        ({"under_way": {}}, 128 - 12),
        ({"under_way": {}, "in_flight": ()}, 128),
        ({"moving": Moving(MESSAGES, (8,), {"bsky.social": QUICK})}, 0),
        ({"moving": "nothing listens there"}, None),
    ],
)
def test_threads_with_nothing_to_do(more: dict[str, Any], free: int | None) -> None:
    assert free_threads(snapshot(**more)) == free


def test_json() -> None:
    told = json.loads(as_json(snapshot()))

    assert told["at"] == "2026-11-24T10:00:00.000Z"
    assert told["redis"] is None
    assert told["in_flight"][0] == {"queue": "connect", "status": "queued", "rows": 3, "oldest_seconds": 1.2}
    assert told["messages"] == MESSAGES
    assert told["workers"] == {"count": 2, "threads": 128, "free": 84}
    assert [host["host"] for host in told["hosts"]] == ["bsky.social", "", "plc.directory"]
    assert told["hosts"][0] == {
        "host": "bsky.social",
        "waiting": 8000,
        "due": 21,
        "under_way": 64,
        "budget": {"next_minute": 588, "per_second": 9.8, "next_turn_seconds": 0.0, "answers_in_seconds": 0.4},
    }
    assert told["hosts"][1]["budget"] is None
    assert told["batches"][0]["counts"]["connected"] == 6000
    assert told["ended_in_the_last_minute"] == {"connected": 512, "handle_not_found": 3}


def test_json_without_redis() -> None:
    told = json.loads(as_json(snapshot(moving="nothing listens there")))
    assert told["redis"] == "nothing listens there"
    assert told["messages"] is told["workers"] is None
    assert told["hosts"][0]["waiting"] == 8000
