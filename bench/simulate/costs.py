"""What the product's code asks of Postgres and Redis, counted in the code, and what it takes, measured by others here.

A test counts what a message and a run of the dispatcher do on a real Postgres and a real Valkey.
"""

from typing import NamedTuple

# Seconds. Of docs/bench/tables.json, Postgres, a million rows: claim, succeed.
CLAIM_SECONDS = 0.002
STORE_SECONDS = 0.003
# A row's own work in its thread, beside its requests.
ROW_SECONDS = 0.0015

# Between a worker and its database, where they are two machines in one place.
ROUND_TRIP_SECONDS = 0.0003

# Seconds of a run of the dispatcher, of docs/bench/dispatcher.json with Postgres on the same machine: the look, with
# each open batch and each lane in which it has rows; each pick of rows, by batch and lane, and each of its rows.
LOOK_SECONDS, LOOK_BATCH_SECONDS, LOOK_LANE_SECONDS = 0.002, 0.00015, 0.00009
TAKE_SECONDS, TAKE_PICK_SECONDS, TAKE_ROW_SECONDS = 0.003, 0.00028, 0.00005
# What Python takes to plan a row, with two hundred workspaces.
PLAN_ROW_SECONDS = 0.00002

# CPU milliseconds of a row of a batch, of docs/bench/compare.json and pacing.json.
WORKER_MS, POSTGRES_MS, VALKEY_MS = 1.56, 0.74, 0.25

# Commands that Celery and kombu send for one message: LPUSH; BRPOP.
BROKER_COMMANDS = 2

# Of each worker all the time, counted on one that has nothing to do: BRPOP, heartbeat, events of Celery, pings.
IDLE_COMMANDS_PER_SECOND = 2.5


class Sql(NamedTuple):
    """Statements, BEGIN and COMMIT among them, and how many of them make Postgres write its log to the disk."""

    statements: int
    commits: int


def claim() -> Sql:
    return Sql(1, 1)


def names(workspaces: int) -> Sql:
    """Which names are connected already: asked for each workspace that has rows in the message."""
    return Sql(workspaces, 0)


def store(rows: int) -> Sql:
    """BEGIN, the accounts, the tasks, the audit log, who wants to hear of it, COMMIT."""
    return Sql(3 + 3 * rows, 1)


def settle() -> Sql:
    """A row that is postponed. One that fails is in the audit log, too."""
    return Sql(3, 1)


def unclaim(rows: int) -> Sql:
    return Sql(2 + rows, 1)


def look(batches: int) -> Sql:
    return Sql(2 + batches, 0)


def take(picks: int, rows: int) -> Sql:
    return Sql(2 + picks + -(-rows // 100), 1)


def call() -> Sql:
    """A synchronous connect: accepted, claimed, stored, and read by the API."""
    return Sql(4, 3)


def limits(rows: int, workspaces: int) -> int:
    """Commands for the limits of failed logins, of rows whose names are known: entered by one script, and taken out by
    one pipeline with a command for each account and workspace."""
    return 1 + rows + workspaces


def look_seconds(batches: int, lanes: int) -> float:
    return LOOK_SECONDS + batches * (LOOK_BATCH_SECONDS + ROUND_TRIP_SECONDS) + lanes * LOOK_LANE_SECONDS


def take_seconds(picks: int, rows: int) -> float:
    a_row = TAKE_ROW_SECONDS + PLAN_ROW_SECONDS
    return TAKE_SECONDS + picks * (TAKE_PICK_SECONDS + ROUND_TRIP_SECONDS) + rows * a_row
