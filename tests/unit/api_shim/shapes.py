"""What every error answer must look like."""

from typing import Any

import httpx

from connections.contract import ErrorAnswer


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error object of an answer in the contract's shape."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == {"error", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    ErrorAnswer.model_validate(body, extra="forbid")
    error: dict[str, Any] = body["error"]
    assert error["normalized_code"] == error["code"].lower()
    assert None not in error.values()
    return error
