"""What the doctor makes of what it finds: from figures to a verdict and a line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.doctor.findings import Finding, Verdict, fail, ok, skipped, warn, worst
from cli.doctor.network import health_finding
from cli.doctor.queue import beat_finding, redis_finding, workers_finding
from cli.doctor.secrets import keys_finding, stored_secrets_finding
from cli.doctor.storage import clock_finding, disk_finding, megabytes, rows_finding, tables_finding
from connections.contract import TaskStatus
from connections.migrate import Standing
from connections.repository.keys import KeyUse
from connections.repository.observing import InFlightTally
from connections.settings import Environment, Settings
from connections.vault import WorkerKeys

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


def told(finding: Finding) -> tuple[Verdict, str]:
    return finding.verdict, finding.found


def test_the_worst_decides() -> None:
    findings = [ok("a"), warn("b", "do"), skipped("c"), fail("d", "do")]
    assert [worst(findings[:count]) for count in range(5)] == [OK, OK, WARN, WARN, FAIL]


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (Standing("0007", ()), (OK, "at revision 0007, the latest")),
        (Standing("0005", ("0006", "0007")), (FAIL, "at revision 0005, to come: 0006, 0007")),
        (Standing(None, ("0001",)), (FAIL, "there are none, to come: 0001")),
        (Standing("0099", None), (FAIL, "revision 0099, which a newer version has made")),
    ],
)
def test_tables(standing: Standing, expected: tuple[Verdict, str]) -> None:
    assert told(tables_finding(standing)) == expected


@pytest.mark.parametrize(
    ("queue", "oldest", "verdict"),
    [
        ("connect", 3600.0, OK),
        ("connect", 3601.0, WARN),
        ("connect.bulk", 3601.0, OK),
        ("connect.bulk", 86_401.0, WARN),
    ],
)
def test_a_row_that_outlives_its_time(queue: str, oldest: float, verdict: Verdict) -> None:
    fresh = InFlightTally("connect", TaskStatus.QUEUED, 3, 0.2)
    finding = rows_finding([fresh, InFlightTally(queue, TaskStatus.RETRYING, 1000, oldest)], Settings())
    assert finding.verdict is verdict
    assert finding.found.startswith("1,003 in flight, the oldest for ")
    assert finding.found.endswith(f"({queue}, retrying)")
    assert finding.facts == {"rows": 1003, "oldest_seconds": oldest}


def test_no_rows() -> None:
    assert told(rows_finding([], Settings())) == (OK, "none in flight")


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (0.0, (OK, "the same as this machine's")),
        (0.9, (OK, "the same as this machine's")),
        (-0.9, (OK, "the same as this machine's")),
        (4.0, (OK, "4.0 s ahead of this machine's")),
        (-5.5, (WARN, "5.5 s behind this machine's")),
        (60.0, (WARN, "60 s ahead of this machine's")),
        (-61.0, (FAIL, "61 s behind this machine's")),
        (7200.0, (FAIL, "2 h ahead of this machine's")),
    ],
)
def test_clocks(ahead: float, expected: tuple[Verdict, str]) -> None:
    assert told(clock_finding(NOW, NOW + timedelta(seconds=ahead), NOW)) == expected


@pytest.mark.parametrize(("theirs", "ahead"), [(0, 0), (5, 0), (10, 0), (-3, -3), (14, 4)])
def test_an_answer_that_takes_long_is_no_wrong_clock(theirs: int, ahead: int) -> None:
    finding = clock_finding(NOW, NOW + timedelta(seconds=theirs), NOW + timedelta(seconds=10))
    assert finding.facts == {"ahead_seconds": ahead}


@pytest.mark.parametrize(("free", "verdict"), [(1_000_000_000, OK), (999_999_999, WARN), (99_999_999, FAIL)])
def test_a_disk_that_fills_up(free: int, verdict: Verdict) -> None:
    assert disk_finding(free, Path("/srv")).verdict is verdict


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0.0 MB"), (1_440_000, "1.4 MB"), (84_000_000, "84 MB"), (12_400_000_000, "12 GB")]
)
def test_sizes(count: int, said: str) -> None:
    assert megabytes(count) == said


INFO = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "used_memory": 1_440_000}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, (OK, "Redis 7.2.4 at cache:6379/0, 0.5 ms, 1.4 MB, noeviction")),
        (
            {"server_name": "valkey", "valkey_version": "9.0.1"},
            (OK, "Valkey 9.0.1 at cache:6379/0, 0.5 ms, 1.4 MB, noeviction"),
        ),
        ({"maxmemory_policy": "allkeys-lru"}, (WARN, "Redis 7.2.4 at cache:6379/0, 0.5 ms, 1.4 MB, allkeys-lru")),
    ],
)
def test_redis(more: dict[str, Any], expected: tuple[Verdict, str]) -> None:
    assert told(redis_finding({**INFO, **more}, "cache:6379/0", 0.0005)) == expected


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        ([], (FAIL, "none is alive, 3 messages lie unread")),
        ([64], (OK, "1 worker, 64 threads, 3 messages unread")),
        ([64, 1000], (OK, "2 workers, 1,064 threads, 3 messages unread")),
    ],
)
def test_workers(threads: list[int], expected: tuple[Verdict, str]) -> None:
    assert told(workers_finding(threads, {"connect": 2, "connect.bulk": 1})) == expected


@pytest.mark.parametrize(
    ("tick", "lag", "unread", "expected"),
    [
        (0.4, None, 0, (OK, "the last tick arrived 0.4 s ago, no row is overdue")),
        (15, 15.0, 2, (OK, "the last tick arrived 15 s ago, no row is overdue")),
        (16, None, 0, (FAIL, "the last tick arrived 16 s ago")),
        (None, None, 0, (FAIL, "no tick has arrived lately")),
        (None, 90.0, 40, (FAIL, "no tick has arrived lately, 40 lie unread")),
        (60, 90.0, 40, (WARN, "the last tick arrived 60 s ago, 40 lie unread")),
        (61, 90.0, 40, (FAIL, "the last tick arrived 61 s ago, 40 lie unread")),
        (1, 15.1, 0, (WARN, "ticks arrive, but a row is due for 15 s")),
    ],
)
def test_beat(tick: float | None, lag: float | None, unread: int, expected: tuple[Verdict, str]) -> None:
    assert told(beat_finding(tick, lag, unread=unread)) == expected


def test_who_reads_no_ticks_is_told_from_who_sends_none() -> None:
    assert beat_finding(None, None, unread=0).advice == "start `connector beat`"
    assert "connect.control" in beat_finding(None, None, unread=1).advice


@pytest.mark.parametrize(("status", "verdict"), [(200, OK), (429, WARN), (503, FAIL), (404, FAIL), (302, FAIL)])
def test_a_host_says_how_it_is(status: int, verdict: Verdict) -> None:
    finding = health_finding("bsky.social", status, 0.041)
    assert told(finding) == (verdict, f"bsky.social answers {status} in 41 ms")
    assert bool(finding.advice) is (verdict is not OK)


RING = WorkerKeys.generate(Environment.DEVELOPMENT)
OTHER_RING = WorkerKeys.generate(Environment.DEVELOPMENT)
ROTATING = RING.rotated(now=NOW)


@pytest.mark.parametrize(
    ("ring", "excerpt", "expected"),
    [
        (RING, RING.for_shim(), (OK, "s1, t1, and the excerpt of them")),
        (RING, OTHER_RING.for_shim(), (FAIL, "s1, t1, and an excerpt of another ring")),
        (RING, None, (WARN, "s1, t1, no excerpt")),
        (None, RING.for_shim(), (WARN, "an excerpt and no ring")),
        (ROTATING, RING.for_shim(), (WARN, "s2, s1, t2, t1: a rotation is not finished")),
        (ROTATING.without(["s1"]), RING.for_shim(), (FAIL, "s2, t2, t1, and an excerpt of another ring")),
    ],
    ids=["both", "other", "workers", "api", "rotating", "retired"],
)
def test_ring_and_excerpt(ring: WorkerKeys | None, excerpt: Any, expected: tuple[Verdict, str]) -> None:
    assert told(keys_finding(ring, excerpt, is_production=True)) == expected


def test_without_keys_production_cannot_start() -> None:
    assert keys_finding(None, None, is_production=True).verdict is FAIL
    assert keys_finding(None, None, is_production=False).verdict is WARN


@pytest.mark.parametrize(
    ("sealing", "tokens", "expected"),
    [
        ([], [], (OK, "every row's key is in the ring")),
        (["s1"], ["t1"], (OK, "every row's key is in the ring")),
        (["s1", "s3"], ["t2"], (FAIL, "rows need keys that the ring does not have: s3, t2")),
        ([None], ["t1"], (WARN, "some rows do not say which key they need: an older version wrote them")),
        ([None, "s3"], [], (FAIL, "rows need keys that the ring does not have: s3")),
    ],
)
def test_keys_that_rows_need(
    sealing: list[str | None], tokens: list[str | None], expected: tuple[Verdict, str]
) -> None:
    assert told(stored_secrets_finding(KeyUse(frozenset(sealing), frozenset(tokens)), RING)) == expected
