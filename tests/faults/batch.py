"""Many people in one batch: sent, watched, and at the end read back as what each of them was told."""

from collections import Counter
from collections.abc import Iterator

import httpx
from sqlalchemy import select

from cli.importing.event_stream import Event, parse_events
from connections.contract import BatchResult, BatchResultsAnswer, RowStatus
from connections.models import connect_batches, connect_tasks
from tests.factories import Tenant
from tests.faults.caller import Told, Way
from tests.faults.fleet import SHIMS, START_SECONDS, Fleet
from tests.faults.people import Expected, Person
from tests.faults.verdict import LOGIN, prove
from tests.servers import wait_until

PATH = "/v1/connect/batches"
KEY = "5f4f6c52-51d5-4b2c-8f0c-0a4d1f3f6f7e"

ILLEGAL = "no handle at all"
# Those that are no person's, and what each is refused for: every row has an outcome, these theirs from the start.
REFUSED = ("duplicate_row", "invalid_handle")

_SECONDS = 30.0
_ENDS_WITHIN_SECONDS = 120.0


class BatchOfPeople:
    """A workspace of its own and one file for it: a row for each person, the first of them again, and an illegal one.

    `told` says after `read_back` how each person's row ended.
    """

    def __init__(self, fleet: Fleet, count: int, *, copies: int = 1) -> None:
        """`copies` of the first person's row follow the people's."""
        self.tenant: Tenant = fleet.tenant()
        self.people: list[Person] = fleet.people(count)
        self.told: list[Told] = []
        first = self.people[0]
        people = [(person.handle, person.password) for person in self.people]
        self.rows = [*people, *[(first.handle.upper(), first.password)] * copies, (ILLEGAL, first.password)]
        self.refused = [*[REFUSED[0]] * copies, REFUSED[1]]
        self._fleet = fleet

    @property
    def csv(self) -> bytes:
        lines = [f"{password},{number},{handle}\r\n" for number, (handle, password) in enumerate(self.rows, 1)]
        return "".join(["app_password,external_ref,handle\r\n", *lines]).encode()

    @property
    def secrets(self) -> set[str]:
        return {password for _, password in self.rows}

    def client(self, shim: int) -> httpx.Client:
        """Of a caller from this workspace."""
        headers = {"Authorization": f"Bearer {self.tenant.key}"}
        return httpx.Client(base_url=self._fleet.urls[shim], headers=headers, timeout=_SECONDS, trust_env=False)

    def send(self, shim: int = 0) -> str:
        """The id of the batch. Sending again is sending the same: it has a key."""
        headers = {"Content-Type": "text/csv", "Idempotency-Key": KEY}
        with self.client(shim) as client:
            answer = client.post(PATH, content=self.csv, headers=headers)
        assert answer.status_code == 202, answer.text
        data = answer.json()["data"]
        assert data["total"] == len(self.rows)
        assert [issue["code"] for row in data["rejected"] for issue in row["issues"]] == self.refused
        return str(data["id"])

    def events(self, shim: int, batch_id: str, last_event_id: str | None = None) -> Iterator[Event]:
        """To the end of the stream. Raises `httpx.TransportError` when it is cut off."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        with (
            self.client(shim) as client,
            client.stream("GET", f"{PATH}/{batch_id}/events", headers=headers) as answer,
        ):
            assert answer.status_code in {200, 204}
            yield from parse_events(answer.iter_bytes())

    def until_ended(self, count: int) -> None:
        """Waits until so many people's rows have ended. Then some must be left, or there is nothing to strike."""
        self._until_left(len(self.people) - count)
        assert self.rows_left, "the batch is over before the fault"

    @property
    def rows_left(self) -> int:
        return self._fleet.tasks_in_flight(self.tenant)

    def batch_ids(self, *, accepted: bool) -> list[str]:
        """Of this workspace: what was taken in, or what is still arriving."""
        batches = connect_batches.c
        is_accepted = batches.accepted_at.is_not(None) if accepted else batches.accepted_at.is_(None)
        query = select(batches.id).where(batches.workspace_id == self.tenant.workspace_id, is_accepted)
        with self._fleet.database.read() as connection:
            return list(connection.execute(query).scalars())

    def prove(self, *, repeats: int, once_more: int) -> list[BatchResult]:
        """Waits for the end. Each row has its outcome, the expected one, and whatever `verdict.prove` asks for.

        `repeats` is how many logins the fault can have cut off from their end in all, `once_more` how many of them may
        be one account's.
        """
        self._until_left(0)
        (batch_id,) = self.batch_ids(accepted=True)
        results = self._read_back(batch_id)
        prove(self._fleet, self, repeats=repeats)
        self._prove_logins(once_more)
        self._prove_secrets(batch_id)
        return results

    def _until_left(self, count: int) -> None:
        wait_until(lambda: self.rows_left <= count, what=f"{count} rows to be left", seconds=_ENDS_WITHIN_SECONDS)

    def _read_back(self, batch_id: str) -> list[BatchResult]:
        rows: list[BatchResult] = []
        query: dict[str, str | int] = {"limit": 1000}
        with self.client(0) as client:
            while not rows or "cursor" in query:
                page = BatchResultsAnswer.model_validate_json(
                    client.get(f"{PATH}/{batch_id}/results", params=query).content
                )
                rows += page.data
                query = {"limit": 1000} | ({"cursor": page.meta.next_cursor} if page.meta.next_cursor else {})
            batch = client.get(f"{PATH}/{batch_id}").json()["data"]
        assert [(row.row, row.external_ref) for row in rows] == [
            (number, str(number)) for number in range(1, len(self.rows) + 1)
        ]
        refused = rows[len(self.people) :]
        assert {row.status for row in refused} == {RowStatus.REJECTED}
        assert [issue.code for row in refused if row.error for issue in row.error.issues or []] == self.refused
        assert batch["status"] == "finished"
        assert {status: count for status, count in batch["counts"].items() if count} == Counter(
            row.status for row in rows
        )
        self.told = [_told(person, row) for person, row in zip(self.people, rows, strict=False)]
        assert len({task_id for told in self.told for task_id in told.task_ids}) == len(self.people)
        return rows

    def _prove_logins(self, once_more: int) -> None:
        """Of each account on its own; a login without a claim of its row would be one that nothing explains."""
        tasks = connect_tasks.c
        query = select(tasks.id, tasks.fence).where(tasks.workspace_id == self.tenant.workspace_id)
        with self._fleet.database.read() as connection:
            claims = {row.id: row.fence for row in connection.execute(query)}
        requests = self._fleet.sandbox.control.requests(LOGIN)
        made = Counter(str(one["identifier"]) for one in requests if one["status"] in {200, 401})
        problems = []
        for told in self.told:
            logins = made[told.person.did] + made[told.person.handle]
            least = 0 if told.person.expected is Expected.UNKNOWN else 1
            most = min([least + once_more, *(claims[task_id] for task_id in told.task_ids)]) if least else 0
            if not least <= logins <= most:
                problems.append(f"{told.person.handle}: {logins} logins, {least} to {most} are explained")
        assert not problems, "\n".join(problems)

    def _prove_secrets(self, batch_id: str) -> None:
        written = [part.whole_log for part in self._fleet.parts.values()]
        with self.client(1) as client:
            for media_type in ("application/json", "application/x-ndjson", "text/csv"):
                answer = client.get(f"{PATH}/{batch_id}/results", headers={"Accept": media_type})
                assert answer.status_code == 200
                written.append(answer.text)
        assert not [secret for secret in self.secrets for text in written if secret in text]


def until_answered_with(batch: BatchOfPeople, status: int, batch_id: str) -> None:
    """Waits until both API processes answer so when they are asked for the batch."""
    for shim in range(len(SHIMS)):
        with batch.client(shim) as client:
            wait_until(
                lambda client=client: client.get(f"{PATH}/{batch_id}").status_code == status,  # type: ignore[misc]
                what=f"{status} from {SHIMS[shim]}",
                seconds=START_SECONDS,
            )


def _told(person: Person, row: BatchResult) -> Told:
    told = Told(person, Way.POLLS, times_sent=1, task_ids={row.task_id} if row.task_id else set())
    told.answers[row.status] += 1
    if row.status is RowStatus.CONNECTED and row.account is not None:
        told.result, told.account_id = Expected.CONNECTED, row.account.id
    elif row.status is RowStatus.FAILED and row.error is not None:
        told.result = row.error.code
    else:
        told.result = row.status
    return told
