"""A small client of the API, for the command line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from cli.failures import CommandFailed
from connections.contract import Account, AccountAnswer, ErrorAnswer, TaskAnswer

# Longer than the service lets a caller wait.
_READ_SECONDS = 70.0
_POLL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class NotConnected:
    """What the service answered instead; `retry_after` is in seconds, if it named a time to wait."""

    answer: ErrorAnswer
    retry_after: int | None = None


def connect_account(
    url: str, api_key: str, handle: str, app_password: str, profile_id: str | None
) -> Account | NotConnected:
    """Connects and waits for the outcome, however long it takes. Raises `CommandFailed` when there is no telling."""
    body = {"platform": "bluesky", "credentials": {"handle": handle, "app_password": app_password}}
    if profile_id is not None:
        body["profile_id"] = profile_id
    try:
        with open_client(url, api_key, read_seconds=_READ_SECONDS) as client:
            return _outcome(client, client.post("/v1/accounts/connect", json=body))
    except UnicodeEncodeError:  # a terminal's bytes that are no text; the error would show them
        raise CommandFailed("handle or app password is not UTF-8") from None


@contextmanager
def open_client(url: str, api_key: str, *, read_seconds: float) -> Iterator[httpx.Client]:
    """A client of the API with this key. Whatever keeps it from getting a sensible answer is a `CommandFailed`."""
    if not re.fullmatch(r"[!-~]+", api_key):
        raise CommandFailed("UNIPOST_API_KEY has characters that no API key has; copy it again")
    headers = {"Authorization": f"Bearer {api_key}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=read_seconds) as client:
            yield client
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise CommandFailed(
            f"{url} is not a URL of the service: it must begin with http:// or https://, such as http://127.0.0.1:8000"
        ) from None
    except httpx.TransportError:
        raise CommandFailed(f"nothing answers at {url}; start the service or set CONNECTOR_URL") from None
    except (ValidationError, httpx.DecodingError):
        raise CommandFailed(f"what answers at {url} is not this service") from None


def retry_after(answer: httpx.Response) -> int | None:
    """Seconds. What stands between may send a date or nonsense (RFC 9110, 10.2.3); the service sends seconds."""
    seconds = re.fullmatch(r"[0-9]{1,9}", answer.headers.get("Retry-After", ""))
    return seconds and int(seconds[0])


def _outcome(client: httpx.Client, answer: httpx.Response) -> Account | NotConnected:
    if answer.status_code == 201:
        return AccountAnswer.model_validate_json(answer.content).data
    if "Location" in answer.headers:  # not settled yet
        return _poll(client, answer.headers["Location"])
    return _not_connected(answer)


def _poll(client: httpx.Client, location: str) -> Account | NotConnected:
    while True:
        answer = client.get(location, params={"wait": _POLL_SECONDS})
        if answer.status_code != 200:
            return _not_connected(answer)
        polled = TaskAnswer.model_validate_json(answer.content)
        if polled.data.account is not None:
            return polled.data.account
        if polled.data.error is not None and polled.data.status.is_final:
            return NotConnected(ErrorAnswer(error=polled.data.error, request_id=polled.request_id))


def _not_connected(answer: httpx.Response) -> NotConnected:
    return NotConnected(ErrorAnswer.model_validate_json(answer.content), retry_after(answer))
