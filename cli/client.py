"""A small client of the API, for the command line."""

import httpx
from pydantic import ValidationError

from cli.failures import CommandFailed
from connections.contract import Account, AccountAnswer, ErrorAnswer, TaskAnswer

# Longer than the service lets a caller wait.
_READ_SECONDS = 70.0
_POLL_SECONDS = 30


def connect_account(
    url: str, api_key: str, handle: str, app_password: str, profile_id: str | None
) -> Account | ErrorAnswer:
    """Connects and waits for the outcome, however long it takes. Raises `CommandFailed` when there is no telling."""
    body = {"platform": "bluesky", "credentials": {"handle": handle, "app_password": app_password}}
    if profile_id is not None:
        body["profile_id"] = profile_id
    headers = {"Authorization": f"Bearer {api_key}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=_READ_SECONDS) as client:
            return _outcome(client, client.post("/v1/accounts/connect", json=body))
    except (httpx.TransportError, httpx.InvalidURL):
        raise CommandFailed(f"nothing answers at {url}; start the service or set CONNECTOR_URL") from None
    except ValidationError:
        raise CommandFailed(f"what answers at {url} is not this service") from None


def _outcome(client: httpx.Client, answer: httpx.Response) -> Account | ErrorAnswer:
    if answer.status_code == 201:
        return AccountAnswer.model_validate_json(answer.content).data
    if "Location" in answer.headers:  # not settled yet
        return _poll(client, answer.headers["Location"])
    return ErrorAnswer.model_validate_json(answer.content)


def _poll(client: httpx.Client, location: str) -> Account | ErrorAnswer:
    while True:
        answer = client.get(location, params={"wait": _POLL_SECONDS})
        if answer.status_code != 200:
            return ErrorAnswer.model_validate_json(answer.content)
        polled = TaskAnswer.model_validate_json(answer.content)
        if polled.data.account is not None:
            return polled.data.account
        if polled.data.error is not None and polled.data.status.is_final:
            return ErrorAnswer(error=polled.data.error, request_id=polled.request_id)
