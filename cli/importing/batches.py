"""The batches of a running service, as a caller of its API sees them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import ValidationError

from cli.client import open_client, retry_after
from cli.failures import CommandFailed
from cli.importing.access import Access
from cli.importing.event_stream import Event, parse_events
from cli.importing.patience import Unavailable
from cli.wording import error_lines
from connections.contract import (
    AcceptedBatch,
    AcceptedBatchAnswer,
    Batch,
    BatchAnswer,
    BatchResultsAnswer,
    ErrorAnswer,
)

_PATH = "/v1/connect/batches"
_PAGE_ROWS = 1000
# The service shows every 15 s that it is there.
_READ_SECONDS = 40.0
# It reads and seals ten thousand rows before it answers, perhaps beside others.
_POST_SECONDS = 120.0

_LATER = frozenset({408, 409, 425, 429})


class Batches:
    """Every method raises `Unavailable` when asking again may help, `CommandFailed` when not."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self.url = url

    def create(self, csv: Iterator[bytes], *, idempotency_key: str, profile_id: str | None) -> AcceptedBatch:
        """`csv` is sent piece by piece. The same key and rows get the same batch."""
        headers = {"Idempotency-Key": idempotency_key, "Content-Type": "text/csv"}
        query = {"platform": "bluesky"} | ({"profile_id": profile_id} if profile_id else {})
        timeout = httpx.Timeout(_READ_SECONDS, read=_POST_SECONDS)
        with self._asking():
            answer = self._client.post(_PATH, params=query, headers=headers, content=csv, timeout=timeout)
        return AcceptedBatchAnswer.model_validate_json(_accepted(answer, 202, "Not accepted").content).data

    def get(self, batch_id: str) -> Batch:
        with self._asking():
            answer = self._client.get(f"{_PATH}/{batch_id}")
        return BatchAnswer.model_validate_json(_accepted(answer).content).data

    def cancel(self, batch_id: str) -> Batch:
        with self._asking():
            answer = self._client.post(f"{_PATH}/{batch_id}/cancel")
        return BatchAnswer.model_validate_json(_accepted(answer, outcome="Not canceled").content).data

    def results(self, batch_id: str, cursor: str | None) -> BatchResultsAnswer:
        """One page, in input order."""
        query: dict[str, Any] = {"limit": _PAGE_ROWS} | ({"cursor": cursor} if cursor else {})
        with self._asking():
            answer = self._client.get(f"{_PATH}/{batch_id}/results", params=query)
        return BatchResultsAnswer.model_validate_json(_accepted(answer).content)

    def download(self, batch_id: str, media_type: str) -> Iterator[bytes]:
        """All results as they come, in pieces of any size."""
        headers = {"Accept": media_type}
        with self._asking(), self._client.stream("GET", f"{_PATH}/{batch_id}/results", headers=headers) as answer:
            if answer.status_code != 200:
                answer.read()
            elif not answer.headers.get("Content-Type", "").startswith(media_type):
                raise CommandFailed(f"what answers at {self.url} is not this service")
            _accepted(answer)
            yield from answer.iter_bytes()

    def events(self, batch_id: str, last_event_id: str | None) -> Iterator[Event]:
        """Progress as it happens, comments included; ends with the batch, or with the stream."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        with self._asking(), self._client.stream("GET", f"{_PATH}/{batch_id}/events", headers=headers) as answer:
            if answer.status_code == 204:
                return
            if answer.status_code != 200:
                answer.read()
            _accepted(answer)
            if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise Unavailable("there are no events")
            for event in parse_events(answer.iter_bytes()):
                if event.name == "end":
                    return
                yield event

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except httpx.UnsupportedProtocol:
            raise
        except httpx.ConnectError:
            raise Unavailable(f"nothing answers at {self.url}", was_sent=False) from None
        except httpx.TimeoutException:
            raise Unavailable(f"{self.url} does not answer in time") from None
        except httpx.TransportError:
            raise Unavailable(f"the connection to {self.url} was lost") from None


@contextmanager
def open_batches(access: Access) -> Iterator[Batches]:
    with open_client(access.url, access.api_key, read_seconds=_READ_SECONDS) as client:
        yield Batches(client, access.url)


def _accepted(answer: httpx.Response, status: int = 200, outcome: str = "Refused") -> httpx.Response:
    if answer.status_code == status:
        return answer
    if answer.status_code in _LATER or answer.status_code >= 500:
        raise Unavailable(_reason(answer), retry_after=retry_after(answer))
    problem = ErrorAnswer.model_validate_json(answer.content)
    raise CommandFailed("\n".join(error_lines(problem, outcome=outcome)))


def _reason(answer: httpx.Response) -> str:
    """What the service says, or whatever stands before it, whose answers are of no shape."""
    try:
        said = ErrorAnswer.model_validate_json(answer.content).error.message
    except ValidationError:
        return f"it answers {answer.status_code}"
    return said.rstrip(".")
