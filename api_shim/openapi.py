"""`/openapi.json`: what FastAPI knows of the routes, completed with what holds for all of them.

Error examples are rendered by the errors themselves, so the document cannot drift from the answers.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api_shim.errors import status_of
from api_shim.request_id import HEADER as REQUEST_ID
from api_shim.request_id import WELL_FORMED
from connections.contract import ConnectRequest, ErrorAnswer
from connections.errors import (
    BadRequest,
    ConnectorError,
    InternalError,
    MethodNotAllowed,
)
from connections.platforms import PLATFORMS

Json = dict[str, Any]
Responses = dict[int | str, Json]

TITLE = "Connector"
API_VERSION = "1"  # of the wire, as in its paths; the software has a version of its own
SUMMARY = "Connects social accounts from credentials."

EXAMPLE_REQUEST_ID = "req_01jd2w8v6y4m9k3c7x5z0t1b2n"
EXAMPLE_TASK_ID = "ct_01jd2w8v6zq5r8d0f2h4j6m8p1"

_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait, while they last.", "schema": {"type": "integer", "minimum": 1}}
}
_STATUS_HEADERS = {
    401: {"WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string", "const": "Bearer"}}},
    405: {"Allow": {"description": "The methods of this address.", "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
    504: _RETRY_AFTER,
}

POLL_HEADERS: Json = {"Retry-After": {**_RETRY_AFTER["Retry-After"], "description": "Seconds; while unfinished."}}
LOCATION: Json = {
    "Location": {"description": "The task, to be polled.", "schema": {"type": "string", "format": "uri-reference"}}
}
PREFERENCE_APPLIED: Json = {
    "Preference-Applied": {"description": "The preferences that were honoured, RFC 7240.", "schema": {"type": "string"}}
}

# What `str.strip` leaves something of, in the words of JSON Schema, whose blanks are fewer.
_NOT_BLANK = r"[^\s\x1c-\x1f\x85]"

# Any route may answer with these.
_EVERYWHERE: tuple[ConnectorError, ...] = (BadRequest(), MethodNotAllowed(), InternalError())


def answers(model: type | None, *, description: str, headers: Json | None = None, example: Json | None = None) -> Json:
    """A successful answer."""
    content = {"application/json": {"example": example}} if example else {}
    return {"model": model, "description": description, "headers": headers or {}, "content": content}


def failures(*errors: ConnectorError, headers: dict[int, Json] | None = None) -> Responses:
    """The error answers of a route by status, with each error as an example. `headers` are added by status."""
    by_status: dict[int, list[ConnectorError]] = {}
    for error in (*errors, *_EVERYWHERE):
        by_status.setdefault(status_of(error.code), []).append(error)
    return {
        status: _failure(status, kinds, (headers or {}).get(status, {})) for status, kinds in sorted(by_status.items())
    }


def _failure(status: int, errors: Sequence[ConnectorError], headers: Json) -> Json:
    examples = {
        type(error).__name__: {
            "summary": error.message,
            "value": ErrorAnswer(error=error.describe(), request_id=EXAMPLE_REQUEST_ID).model_dump(mode="json"),
        }
        for error in errors
    }
    return {
        "model": ErrorAnswer,
        "description": HTTPStatus(status).phrase,
        "headers": _STATUS_HEADERS.get(status, {}) | headers,
        "content": {"application/json": {"examples": examples}},
    }


def describe(app: FastAPI) -> Json:
    """The whole document."""
    document = get_openapi(
        title=TITLE, version=app.version, summary=SUMMARY, routes=app.routes, openapi_version=app.openapi_version
    )
    schemas = document["components"]["schemas"]
    schemas.update(_connect_request_schemas())
    for path in document["paths"].values():
        for operation in path.values():
            _drop_foreign_refusal(operation)
            _add_request_id(operation)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document


def connect_request_body(examples: Json) -> Json:
    """The body of the connect endpoint, which `connections.intake` parses by itself."""
    content = {"schema": {"$ref": "#/components/schemas/ConnectRequest"}, "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _connect_request_schemas() -> Json:
    schema = ConnectRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions: Json = schema.pop("$defs")
    _add_aliases(definitions["BlueskyCredentials"])
    schema["properties"]["platform"]["enum"] = sorted(PLATFORMS)
    return {**definitions, "ConnectRequest": schema}


def _add_aliases(credentials: Json) -> None:
    """Each credential under the first of its names that is sent and not null; the others are not looked at."""
    properties = credentials["properties"]
    credentials["allOf"] = []
    del credentials["required"]
    for wanted in PLATFORMS["bluesky"].fields:
        about = properties[wanted.name]
        about["pattern"] = _NOT_BLANK
        limits = {key: about[key] for key in ("type", "minLength", "maxLength", "pattern")}
        alternative = {"description": f"Alias of `{wanted.name}`.", "examples": about["examples"]}
        properties.update(dict.fromkeys(wanted.aliases, alternative))
        about["type"] = ["string", "null"]
        ways = [{"required": [wanted.name], "properties": {wanted.name: {"type": "string"}}}]
        earlier = {wanted.name: {"type": "null"}}
        for alias in wanted.aliases:
            ways.append({"required": [alias], "properties": {**earlier, alias: limits}})
            earlier = {**earlier, alias: {"type": "null"}}
        credentials["allOf"].append({"anyOf": ways})


def _drop_foreign_refusal(operation: Json) -> None:
    """FastAPI adds a 422 in a shape of its own to routes that tell of none, though no value of theirs is refused."""
    match operation["responses"]:
        case {"422": {"content": {"application/json": {"schema": {"$ref": str(schema)}}}}} if schema.endswith(
            "/HTTPValidationError"
        ):
            del operation["responses"]["422"]


def _add_request_id(operation: Json) -> None:
    pattern = f"^{WELL_FORMED.pattern}$"
    sent = {
        "name": REQUEST_ID,
        "in": "header",
        "required": False,
        "description": f"Kept when it matches `{pattern}`, otherwise replaced; found again in every log line.",
        "schema": {"type": "string"},  # anything goes: a bad one fails no request
    }
    operation.setdefault("parameters", []).append(sent)
    for response in operation["responses"].values():
        answered = {
            "description": "The id of this request.",
            "schema": {"type": "string", "pattern": pattern},
            "required": True,
        }
        response["headers"] = {REQUEST_ID: answered, **response.get("headers", {})}
