"""A caller as one should be written: takes no failure for an answer, and asks again in the way it was told to.

A connection that breaks, or an answer that says to come back: with a task's id it polls that, at the other API process,
and without one it sends the same request again. An account that is connected already, after it has sent twice, was
connected by the first.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from connections.ids import new_id
from tests.e2e.stack import body
from tests.faults.http import Answer, Dropped, NoConnection, ask
from tests.faults.people import Expected, Person

# More than any wait that a caller here asks for.
SILENCE_SECONDS = 20.0
_POLL_SECONDS = 5
_PAUSE_SECONDS = 0.25


class Way(Enum):
    """How a caller wants its answer: the `Prefer` header."""

    WAITS = None
    POLLS = "respond-async"
    WAITS_A_LITTLE = "wait=2"


@dataclass
class Told:
    """What one caller has seen; `result` is empty until it knows how its connect ended."""

    person: Person
    way: Way
    result: str = ""
    account_id: str | None = None
    task_ids: set[str] = field(default_factory=set)
    times_sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """Statuses, for errors with their code: `201`, `503 QUEUE_UNAVAILABLE`."""
    dropped: list[str] = field(default_factory=list)
    """Ids of requests that were sent and never answered."""


class GivenUp(Exception):
    """The load was stopped before this caller had its answer."""


class Caller:
    """One person's connect, from the first request to the last answer."""

    def __init__(self, told: Told, urls: Sequence[str], key: str, stopped: threading.Event, silence: float) -> None:
        """`urls` of the API processes, the one to begin with first; `silence` in seconds makes it hang up."""
        self.told = told
        self._urls: Iterator[str] = itertools.cycle(urls)
        self._url = next(self._urls)
        self._key = key
        self._stopped = stopped
        self._silence = silence
        self._task_id: str | None = None

    def run(self) -> None:
        """Returns when the outcome is known. Raises `GivenUp`."""
        while not self.told.result:
            answer = self._ask()
            if answer is None:
                self._url = next(self._urls)
                self._pause(_PAUSE_SECONDS)
            elif self._task_id is None:
                self._read_answer(answer)
            else:
                self._read_task(answer)

    def _ask(self) -> Answer | None:
        """None when there was no answer to be had."""
        request_id = new_id("req")
        headers = {"Authorization": f"Bearer {self._key}", "X-Request-Id": request_id}
        try:
            if self._task_id is None:
                answer = self._send(headers)
            else:
                url = f"{self._url}/v1/connect/tasks/{self._task_id}?wait={_POLL_SECONDS}"
                answer = ask("GET", url, headers=headers, seconds=self._silence)
        except NoConnection:
            self.told.answers["no connection"] += 1
            return None
        except Dropped:
            self.told.answers["dropped"] += 1
            self.told.dropped.append(request_id)
            return None
        code = answer.body.get("error", {}).get("code")
        self.told.answers[f"{answer.status} {code}" if code else str(answer.status)] += 1
        return answer

    def _send(self, headers: dict[str, str]) -> Answer:
        if self.told.way.value:
            headers["Prefer"] = self.told.way.value
        self.told.times_sent += 1
        return ask(
            "POST",
            f"{self._url}/v1/accounts/connect",
            headers=headers,
            body=body(self.told.person.handle, self.told.person.password),
            seconds=self._silence,
        )

    def _read_answer(self, answer: Answer) -> None:
        """What the connect call itself was answered."""
        if answer.status == 201:
            self._connected(answer.body["id"])
        elif answer.status == 202:
            self._poll(answer.body["data"]["id"])
        elif task_id := answer.body["error"].get("details", {}).get("task_id"):
            self._poll(task_id)
            self._url = next(self._urls)
        else:
            self._read_error(answer.body["error"], answer)

    def _read_task(self, answer: Answer) -> None:
        """What polling was answered."""
        if answer.status != 200:
            self._url = next(self._urls)
            self._pause(_retry_after(answer))
            return
        task = answer.body["data"]
        match task["status"]:
            case "succeeded":
                self._connected(task["account"]["id"])
            case "failed" | "expired":
                self._task_id = None
                self._read_error(task["error"], answer)

    def _read_error(self, error: dict[str, object], answer: Answer) -> None:
        if error["code"] == "ACCOUNT_ALREADY_CONNECTED" and self.told.times_sent > 1:
            details = error["details"]
            assert isinstance(details, dict)
            self._connected(details["account_id"])
        elif error["is_retriable"]:
            self._pause(_retry_after(answer))
        else:
            self.told.result = str(error["code"])

    def _connected(self, account_id: str) -> None:
        self.told.account_id = account_id
        self.told.result = Expected.CONNECTED

    def _poll(self, task_id: str) -> None:
        self._task_id = task_id
        self.told.task_ids.add(task_id)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise GivenUp


def _retry_after(answer: Answer) -> float:
    return float(answer.headers.get("retry-after", 1.0))
