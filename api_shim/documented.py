"""What routes say of their answers, for `/openapi.json`.

Error examples are rendered by the errors themselves, so the document cannot drift from the answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from api_shim.errors import status_of
from connections.contract import ErrorAnswer, RetryPolicy
from connections.errors import (
    BadRequest,
    ConnectorError,
    InternalError,
    MethodNotAllowed,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
)

Json = dict[str, Any]
Responses = dict[int | str, Json]

EXAMPLE_REQUEST_ID = "req_01jd2w8v6y4m9k3c7x5z0t1b2n"
EXAMPLE_TASK_ID = "ct_01jd2w8v6zq5r8d0f2h4j6m8p1"
EXAMPLE_SESSION_ID = "cs_01jd2w8v4b6d8f0h2k4n6q8s0t"
EXAMPLE_BATCH_ID = "cb_01jd2w8v5a7c9e1g3j5m7p9r1t"
EXAMPLE_ACCOUNT_ID = "sa_01jd2w8v70e3g5j7m9q1s3v5x7"
EXAMPLE_PROFILE_ID = "pr_01jd2w4k1c8e0g2j4m6p8r0t2v"


def header(description: str, **schema: Any) -> Json:
    """A header of an answer; a string unless the schema says otherwise."""
    return {"description": description, "schema": {"type": "string", **schema}}


RETRY_AFTER: Json = {"Retry-After": header("Seconds to wait, while they last.", type="integer", minimum=1)}
POLL_AFTER: Json = {
    "Retry-After": header("Seconds after which to look again; while unfinished.", type="integer", minimum=1)
}

_STATUS_HEADERS: Mapping[int, Json] = {
    401: {"WWW-Authenticate": header("How to authenticate, RFC 6750.", const="Bearer")},
    405: {"Allow": header("The methods of this address, comma-separated.", examples=["GET"])},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
    504: RETRY_AFTER,
}

# Any route may answer with these.
_EVERYWHERE: tuple[ConnectorError, ...] = (BadRequest(), MethodNotAllowed(), InternalError())

WITH_A_KEY: tuple[ConnectorError, ...] = (Unauthorized(), RateLimited(), ServiceUnavailable())
"""Any route that wants a key may answer with these as well."""


@dataclass(frozen=True, slots=True)
class AfterTries:
    """An error that tells how far the retries of its task have come."""

    error: ConnectorError
    policy: RetryPolicy


def location(what: str) -> Json:
    """The header that names what an answer tells of."""
    return {"Location": header(what, format="uri-reference")}


def answers(
    model: type | None,
    *,
    description: str,
    example: Json | None = None,
    examples: Json | None = None,
    headers: Json | None = None,
) -> Json:
    """A successful answer, with one example or with several that have a `summary` each."""
    content = {"example": example} if examples is None else {"examples": examples}
    return {
        "model": model,
        "description": description,
        "headers": headers or {},
        "content": {"application/json": content},
    }


def failures(*errors: ConnectorError | AfterTries, headers: Mapping[int, Json] | None = None) -> Responses:
    """The error answers of a route by status, with each error as an example. `headers` are added by status."""
    by_status: dict[int, list[AfterTries | ConnectorError]] = {}
    for error in (*errors, *_EVERYWHERE):
        by_status.setdefault(status_of(_bare(error).code), []).append(error)
    return {
        status: _failure(status, kinds, (headers or {}).get(status, {})) for status, kinds in sorted(by_status.items())
    }


def _failure(status: int, errors: Sequence[ConnectorError | AfterTries], headers: Json) -> Json:
    codes = dict.fromkeys(_bare(error).code for error in errors)
    return {
        "model": ErrorAnswer,
        "description": f"{HTTPStatus(status).phrase}: {' or '.join(f'`{code}`' for code in codes)}.",
        "headers": _STATUS_HEADERS.get(status, {}) | headers,
        "content": {"application/json": {"examples": _examples(errors)}},
    }


def _examples(errors: Sequence[ConnectorError | AfterTries]) -> Json:
    """By the name of the error, and a number where it comes again with another message."""
    named: Json = {}
    for error in errors:
        name = type(_bare(error)).__name__
        again = sum(known.rstrip("0123456789") == name for known in named)
        named[f"{name}{again + 1}" if again else name] = {
            "summary": _bare(error).message,
            "value": ErrorAnswer(error=_body(error), request_id=EXAMPLE_REQUEST_ID).model_dump(mode="json"),
        }
    return named


def _bare(error: ConnectorError | AfterTries) -> ConnectorError:
    return error.error if isinstance(error, AfterTries) else error


def _body(error: ConnectorError | AfterTries) -> Any:
    return error.error.describe(error.policy) if isinstance(error, AfterTries) else error.describe()
