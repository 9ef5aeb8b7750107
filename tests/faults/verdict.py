"""The proof after a fault: nothing was lost and nothing done twice.

It looks where the truth is: at the rows, at the accounts' own server, and at what each caller was told.
"""

import contextlib
import json
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row, select, text

from connections.contract import TaskStatus
from connections.models import accounts, connect_tasks
from connections.vault import Cell, Followed, TokenCipher, open_key_store
from tests.factories import Tenant
from tests.faults.caller import Told
from tests.faults.fleet import Fleet
from tests.faults.people import Expected
from tests.servers import wait_until

LOGIN = "com.atproto.server.createSession"
_AFTER_LOGIN = ("UNAUTHORIZED", "ACCOUNT_ALREADY_CONNECTED")


class Crowd(Protocol):
    """People of one workspace, and what each of them was told: a `Load`, or the rows of a batch."""

    tenant: Tenant
    told: list[Told]


@dataclass(frozen=True)
class Evidence:
    """What is left of a load, read once everything has come to rest."""

    load: Crowd
    tasks: list[Row[Any]]
    accounts: list[Row[Any]]
    endings: Counter[str]
    logins: Counter[str]
    sessions: dict[str, set[str]]
    kept: dict[str, str]
    """The id of the refresh token that each connected account's row holds."""


def prove(fleet: Fleet, load: Crowd, *, repeats: int = 0, sessions: int | None = None) -> None:
    """`repeats` is how many attempts the fault can have cut off between their login and their end: so many logins may
    have been made once more, and so many `sessions`, unless another number is given, be left to end by themselves."""
    sessions = repeats if sessions is None else sessions
    wait_until(lambda: fleet.tasks_in_flight(load.tenant) == 0, what="every task to end", seconds=60)
    evidence = gather(fleet, load)

    def is_settled() -> bool:
        """A worker that is not the one to settle ends its session after that."""
        nonlocal evidence
        evidence = gather(fleet, load)
        return surplus_sessions(evidence) <= sessions

    with contextlib.suppress(TimeoutError):  # then it is one of the problems
        wait_until(is_settled, what="the sessions that are not kept to end")
    problems = [f"{part.name} has ended by itself" for part in fleet.parts.values() if not part.is_running]
    problems += judge(evidence, repeats, sessions)
    assert not problems, "\n".join(problems)


def gather(fleet: Fleet, load: Crowd) -> Evidence:
    ours = load.tenant.workspace_id
    with fleet.database.read() as connection:
        task_rows = list(connection.execute(select(connect_tasks).where(connect_tasks.c.workspace_id == ours)))
        account_rows = list(connection.execute(select(accounts).where(accounts.c.workspace_id == ours)))
        ids = {row.id for row in task_rows}
        endings = Counter(row.task_id for row in connection.execute(text("SELECT task_id FROM endings")))
    control = fleet.sandbox.control
    theirs = {name for told in load.told for name in (told.person.did, told.person.handle)}
    # What was let in or turned away; a 503 or 429 is no login.
    logins = Counter(
        str(one["identifier"])
        for one in control.requests(LOGIN)
        if one["status"] in (200, 401) and one["identifier"] in theirs
    )
    cipher = TokenCipher(Followed(open_key_store(fleet.settings).load_ring, every=60))
    people = [told.person for told in load.told if told.person.did]
    return Evidence(
        load=load,
        tasks=task_rows,
        accounts=account_rows,
        endings=Counter({task_id: count for task_id, count in endings.items() if task_id in ids}),
        logins=logins,
        sessions={one.did: {token["id"] for token in control.refresh_tokens(one.did)} for one in people},
        kept={
            row.external_id: _token_id(cipher.decrypt(row.refresh_token, Cell(row.id, "refresh_token")))
            for row in account_rows
        },
    )


def judge(evidence: Evidence, repeats: int, sessions: int) -> Iterator[str]:
    """Everything that is wrong, one line each."""
    yield from _callers(evidence)
    yield from _tasks(evidence)
    yield from _accounts(evidence)
    yield from _logins(evidence, repeats)
    yield from _sessions(evidence, sessions)


def _callers(evidence: Evidence) -> Iterator[str]:
    stored = {row.id for row in evidence.tasks}
    account_of = {row.external_id: row.id for row in evidence.accounts}
    for told in evidence.load.told:
        who = f"{told.person.handle} ({told.way.name}, {dict(told.answers)})"
        if told.result != told.person.expected:
            yield f"{who}: {told.result or 'no outcome'} instead of {told.person.expected}"
        if told.account_id != account_of.get(told.person.did):
            yield f"{who}: was told of account {told.account_id}, stored is {account_of.get(told.person.did)}"
        for lost in told.task_ids - stored:
            yield f"{who}: was promised task {lost}, which does not exist"


def _tasks(evidence: Evidence) -> Iterator[str]:
    for row in evidence.tasks:
        if row.status == TaskStatus.EXPIRED:
            yield f"task {row.id} expired"
        if row.outcome is None or row.finished_at is None:
            yield f"task {row.id} has ended without an outcome"
        if row.sealed_credentials is not None or row.sealing_key is not None or row.fingerprint:
            yield f"task {row.id} has ended and still tells of its credentials"
        if evidence.endings[row.id] != 1:
            yield f"task {row.id} has ended {evidence.endings[row.id]} times"


def _accounts(evidence: Evidence) -> Iterator[str]:
    connected = sorted({told.person.did for told in evidence.load.told if told.person.expected is Expected.CONNECTED})
    if sorted(row.external_id for row in evidence.accounts) != connected:
        yield f"{len(evidence.accounts)} accounts for {len(connected)} people"
    told_of = [row.outcome["account"]["id"] for row in evidence.tasks if row.status == TaskStatus.SUCCEEDED]
    if sorted(told_of) != sorted(row.id for row in evidence.accounts):
        yield f"{len(told_of)} successes for {len(evidence.accounts)} accounts"


def _logins(evidence: Evidence, repeats: int) -> Iterator[str]:
    """One a request that the accounts' server let in or turned away."""
    asked_for = sum(
        row.status == TaskStatus.SUCCEEDED or row.outcome["error"]["code"] in _AFTER_LOGIN for row in evidence.tasks
    )
    if (made := sum(evidence.logins.values())) > asked_for + repeats:
        yield f"{made} logins, {asked_for} were asked for and {repeats} may have been repeated"


def _sessions(evidence: Evidence, allowed: int) -> Iterator[str]:
    for did, token_id in evidence.kept.items():
        if token_id not in evidence.sessions[did]:
            yield f"the session that is stored for {did} was ended"
    for told in evidence.load.told:
        if told.person.expected is Expected.REJECTED and evidence.sessions[told.person.did]:
            yield f"{told.person.handle} was rejected and has a session"
    if (surplus := surplus_sessions(evidence)) > allowed:
        yield f"{surplus} sessions too many, {allowed} would be right"


def surplus_sessions(evidence: Evidence) -> int:
    return sum(map(len, evidence.sessions.values())) - len(evidence.accounts)


def _token_id(token: str) -> str:
    """The `jti` claim of the sandbox's refresh tokens."""
    return str(json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))["jti"])
