"""Every error has a status, and a bug says nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from api_shim.errors import STATUS
from connections import errors
from connections.errors import ConnectorError
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of


def subclasses(kind: type[ConnectorError]) -> Iterator[type[ConnectorError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


CODES = {
    kind.code for kind in subclasses(ConnectorError) if hasattr(kind, "code") and kind.__module__ == errors.__name__
}


def test_every_code_has_a_status_and_every_status_a_code() -> None:
    assert set(STATUS) == CODES


async def test_a_bug_is_a_500_whose_cause_is_only_in_the_log(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("canary: the cause")

    monkeypatch.setattr(api.shim.service, "accept", crash)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        answer = await api.connect()

    error = error_of(answer, 500)
    assert error["code"] == "INTERNAL_ERROR"
    assert "canary" not in answer.text
    (line,) = [line for line in lines if line["event"] == "request_crashed"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["exc_info"]
    assert "canary-password" not in str(lines)


async def test_a_bug_in_looking_up_outcomes_is_a_500_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_task_ids: list[str]) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(api.shim.service, "finished", crash)
    api.queue.on_send = api.worker.succeed
    with structlog.testing.capture_logs() as lines:
        error = error_of(await api.connect(), 500)

    assert error["code"] == "INTERNAL_ERROR"
    assert [line["event"] for line in lines] == ["connect_accepted", "request_crashed"]


async def test_no_answer_and_no_line_repeats_a_credential(api: Api) -> None:
    credentials = {"handle": "canary-handle", "app_password": "canary-password", "password": 5}
    with structlog.testing.capture_logs() as lines:
        answers = [
            await api.connect(credentials=credentials, platform="bluesky", profile_id=5),
            await api.connect(credentials=credentials, platform="canary"),
            await api.connect(credentials="canary"),
            await api.connect(credentials=credentials, prefer="respond-async"),
        ]

    assert [answer.status_code for answer in answers] == [422, 422, 422, 202]
    assert "canary" not in "".join(answer.text for answer in answers) + str(lines)
