"""Ends tasks as workers do: the outcome into the table, and after the commit an announcement for each."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select, update

from bench.waiting.servers import Api
from connections.contract import Account, AccountStatus, ConnectionType, TaskStatus
from connections.messages import reply_channel
from connections.models import connect_tasks
from connections.outcome import Outcome
from connections.sqltime import from_now

_IDS_PER_STATEMENT = 500


def count_awaited(api: Api) -> int:
    """Tasks in the table that somebody waits for."""
    with api.database.read() as connection:
        query = select(func.count()).where(connect_tasks.c.reply_to.is_not(None))
        return int(connection.execute(query).scalar_one())


def newest_awaited(api: Api, number: int) -> list[tuple[str, str]]:
    """Ids of that many tasks, and of the API process in which their callers wait."""
    tasks = connect_tasks.c
    query = select(tasks.id, tasks.reply_to).where(tasks.reply_to.is_not(None)).order_by(tasks.id.desc()).limit(number)
    with api.database.read() as connection:
        return [(row[0], row[1]) for row in connection.execute(query)]


def settle(api: Api, awaited: Sequence[tuple[str, str]]) -> float:
    """All have succeeded, in one transaction and one burst of announcements. When that began, in monotonic seconds."""
    outcome = Outcome(account=_account()).to_row()
    with api.database.write() as connection:
        for start in range(0, len(awaited), _IDS_PER_STATEMENT):
            ids = [task_id for task_id, _ in awaited[start : start + _IDS_PER_STATEMENT]]
            change = update(connect_tasks).where(connect_tasks.c.id.in_(ids))
            connection.execute(
                change.values(
                    status=TaskStatus.SUCCEEDED,
                    finished_at=from_now(),
                    outcome=outcome,
                    sealed_credentials=None,
                    sealing_key=None,
                    fingerprint=b"",
                )
            )
    with api.valkey.client() as client, client.pipeline(transaction=False) as pipeline:
        for task_id, reply_to in awaited:
            pipeline.publish(reply_channel(reply_to), task_id)
        started = time.monotonic()
        pipeline.execute()
    return started


def _account() -> Account:
    return Account(
        id="sa_01jd2w8v70e3g5j7m9q1s3v5x7",
        profile_id="pr_01jd2w4k1c8e0g2j4m6p8r0t2v",
        platform="bluesky",
        account_name="alice.bsky.social",
        status=AccountStatus.ACTIVE,
        connection_type=ConnectionType.BYO,
        connected_at=datetime.now(UTC),
        external_account_id="did:plc:ewvi7nxzyoun6zhxrhs64oiz",
    )
