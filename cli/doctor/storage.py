"""Checks of what is stored: database, tables, rows, disk."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cli.ages import answer_time, lasting
from cli.doctor.findings import Finding, fail, ok, warn
from cli.doctor.subject import Subject
from cli.places import database_place
from connections import migrate
from connections.messages import Queue
from connections.migrate import Standing
from connections.postgres import database_size
from connections.repository.observing import InFlightTally, in_flight_by_queue
from connections.settings import Settings
from connections.sqltime import database_time

_MEGABYTE = 1_000_000
_FULL_BYTES = 100 * _MEGABYTE
_NEARLY_FULL_BYTES = 1000 * _MEGABYTE

# Processes act on each other's dates; a minute is what beat's ticks outlive. See docs/operations.md.
_SKEW_SECONDS = 5.0
_LARGE_SKEW_SECONDS = 60.0


def check_database(subject: Subject) -> Finding:
    place = database_place(subject.settings.database)
    is_sqlite = subject.settings.database.startswith("sqlite")
    if is_sqlite and not Path(place).exists():
        return fail(f"there is no {place}", "`connector migrate` makes it, as `connector up` does")
    with subject.database.read() as connection:
        database_time(connection)  # the first one has a connection to make
        started = time.monotonic()
        database_time(connection)
        seconds = time.monotonic() - started
        size = Path(place).stat().st_size if is_sqlite else database_size(connection)
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
    return ok(
        f"{'SQLite' if is_sqlite else 'Postgres'} {version} at {place}, {answer_time(seconds)}, {megabytes(size)}",
        version=version,
        round_trip_seconds=round(seconds, 6),
        bytes=size,
    )


def check_tables(subject: Subject) -> Finding:
    return tables_finding(migrate.standing(subject.database))


def tables_finding(standing: Standing) -> Finding:
    facts = {"revision": standing.found}
    if standing.pending is None:
        return fail(
            f"revision {standing.found}, which a newer version has made",
            "use that version of connector; `connector --version` tells this one's",
            **facts,
        )
    if standing.pending:
        found = f"at revision {standing.found}" if standing.found else "there are none"
        return fail(f"{found}, to come: {', '.join(standing.pending)}", "run `connector migrate`", **facts)
    return ok(f"at revision {standing.found}, the latest", **facts)


def check_rows(subject: Subject) -> Finding:
    with subject.database.read() as connection:
        tallies = in_flight_by_queue(connection)
    return rows_finding(tallies, subject.settings)


def rows_finding(tallies: Sequence[InFlightTally], settings: Settings) -> Finding:
    if not tallies:
        return ok("none in flight", rows=0)
    oldest = max(tallies, key=lambda one: one.oldest_seconds)
    rows = sum(one.rows for one in tallies)
    found = f"{rows:,} in flight, the oldest for {lasting(oldest.oldest_seconds)} ({oldest.queue}, {oldest.status})"
    facts = {"rows": rows, "oldest_seconds": round(oldest.oldest_seconds, 3)}
    lives = {Queue.BULK.value: settings.batch_task_seconds}
    if any(one.oldest_seconds > lives.get(one.queue, settings.patient_task_seconds) for one in tallies):
        return warn(found, "that is longer than a row may live: see workers, beat and clocks", **facts)
    return ok(found, **facts)


def check_database_clock(subject: Subject) -> Finding:
    before = subject.clock()
    with subject.database.read() as connection:
        now = database_time(connection)
    return clock_finding(before, now, subject.clock())


def clock_finding(before: datetime, theirs: datetime, after: datetime) -> Finding:
    """`before` and `after` are this machine's when the other was asked and had answered: within that it is the same."""
    early, late = theirs - before, theirs - after
    apart = timedelta() if late <= timedelta() <= early else min(early, late, key=abs)
    seconds = apart.total_seconds()
    facts = {"ahead_seconds": round(seconds, 3)}
    if abs(seconds) < 1:
        return ok("the same as this machine's", **facts)
    found = f"{lasting(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} this machine's"
    if abs(seconds) <= _SKEW_SECONDS:
        return ok(found, **facts)
    advice = "let all machines take the time from one source (NTP)"
    if abs(seconds) <= _LARGE_SKEW_SECONDS:
        return warn(found, advice, **facts)
    return fail(found, f"{advice}: workers whose clocks are far apart from beat's do not sweep", **facts)


def check_disk(subject: Subject) -> Finding:
    wanted = subject.settings.var_dir.absolute()
    folder = next(each for each in (wanted, *wanted.parents) if each.exists())
    return disk_finding(subject.free_bytes(folder), wanted)


def disk_finding(free: int, folder: Path) -> Finding:
    found = f"{megabytes(free)} free in {folder}"
    if free >= _NEARLY_FULL_BYTES:
        return ok(found, free_bytes=free)
    advice = "make room: a database that cannot write accepts nothing"
    return (warn if free >= _FULL_BYTES else fail)(found, advice, free_bytes=free)


def megabytes(count: int) -> str:
    """`1.4 MB`, `12 GB`: powers of a thousand, as disks are sold."""
    amount, unit = (count / 1e9, "GB") if count >= 1e9 else (count / 1e6, "MB")
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
