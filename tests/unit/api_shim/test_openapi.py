"""`/openapi.json` is complete: each operation with each answer it can give, its headers and an example of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import orjson
import pytest
from fastapi.routing import iter_route_contexts

from api_shim.errors import STATUS
from connections import errors
from connections.contract import Batch
from connections.errors import ConnectorError
from tests.unit.api_shim.conftest import Api

Json = dict[str, Any]

CONNECT = "/v1/accounts/connect"
RECONNECT = "/v1/accounts/{account_id}/reconnect"
SESSIONS = "/v1/connect/sessions"
BATCHES = "/v1/connect/batches"
BATCH = "/v1/connect/batches/{batch_id}"
WEBHOOKS = "/v1/webhooks"
WEBHOOK = "/v1/webhooks/{webhook_id}"
ACCOUNT = "/v1/accounts/{account_id}"
PROFILE = "/v1/profiles/{profile_id}"
SESSION = "/internal/accounts/{account_id}/session"
ANY = {400, 405, 500}
WITH_A_KEY = ANY | {401, 429, 503}
STATUSES = {
    ("post", CONNECT): WITH_A_KEY | {201, 202, 409, 413, 415, 422, 504},
    ("post", RECONNECT): WITH_A_KEY | {200, 202, 404, 409, 413, 415, 422, 504},
    ("delete", "/v1/accounts/{account_id}"): WITH_A_KEY | {200, 404},
    ("get", "/v1/connect/tasks/{task_id}"): WITH_A_KEY | {200, 404, 422},
    ("post", SESSIONS): WITH_A_KEY | {201, 413, 415, 422},
    ("get", f"{SESSIONS}/{{session_id}}"): WITH_A_KEY | {200, 404},
    ("post", BATCHES): WITH_A_KEY | {202, 413, 415, 422},
    ("get", BATCH): WITH_A_KEY | {200, 404},
    ("get", f"{BATCH}/results"): WITH_A_KEY | {200, 404, 422},
    ("get", f"{BATCH}/events"): WITH_A_KEY | {200, 204, 404},
    ("post", f"{BATCH}/cancel"): WITH_A_KEY | {200, 404},
    ("post", SESSION): WITH_A_KEY | {200, 403, 404, 409, 413, 415, 422, 504},
    ("post", WEBHOOKS): WITH_A_KEY | {201, 413, 415, 422},
    ("get", WEBHOOKS): WITH_A_KEY | {200},
    ("get", WEBHOOK): WITH_A_KEY | {200, 404},
    ("patch", WEBHOOK): WITH_A_KEY | {200, 404, 413, 415, 422},
    ("delete", WEBHOOK): WITH_A_KEY | {204, 404},
    ("post", f"{WEBHOOK}/rotate"): WITH_A_KEY | {200, 404},
    ("get", f"{WEBHOOK}/deliveries"): WITH_A_KEY | {200, 404, 422},
    ("post", f"{WEBHOOK}/deliveries/{{delivery_id}}/replay"): WITH_A_KEY | {200, 404},
    ("post", f"{WEBHOOK}/replay"): WITH_A_KEY | {200, 404},
    ("get", "/v1/audit-log"): WITH_A_KEY | {200, 422},
    ("get", "/v1/accounts"): WITH_A_KEY | {200, 422},
    ("get", ACCOUNT): WITH_A_KEY | {200, 404},
    ("get", f"{ACCOUNT}/health"): WITH_A_KEY | {200, 404},
    ("get", "/v1/profiles"): WITH_A_KEY | {200, 422},
    ("post", "/v1/profiles"): WITH_A_KEY | {201, 409, 413, 415, 422},
    ("get", PROFILE): WITH_A_KEY | {200, 404},
    ("patch", PROFILE): WITH_A_KEY | {200, 404, 409, 413, 415, 422},
    ("delete", PROFILE): WITH_A_KEY | {204, 404, 409},
    ("get", "/v1/workspace"): WITH_A_KEY | {200},
    ("patch", "/v1/workspace"): WITH_A_KEY | {200, 413, 415, 422},
    ("get", "/healthz"): ANY | {200},
    ("get", "/readyz"): ANY | {200, 503},
    ("get", "/metrics"): ANY | {200},
}

# Not for programs.
PAGES = {"/openapi.json", "/docs", "/docs/assets/{name}", "/batches/{batch_id}", "/connect/{token}"}

# Of which only the kinds below it are ever raised.
ABSTRACT = {errors.InvalidIdentity}

# What is only told of an account that was connected before.
OF_CONNECTED = {errors.SessionEnded, errors.AccountMoved}


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    text: Json

    @property
    def parameters(self) -> dict[str, Json]:
        return {parameter["name"]: parameter for parameter in self.text["parameters"]}

    @property
    def wants_a_key(self) -> bool:
        return "security" in self.text

    @property
    def refuses_values(self) -> bool:
        """Whether there are parameters that not every value is good for."""
        schemas = [one["schema"] for one in self.text["parameters"] if one["in"] == "query"]
        return any({"enum", "pattern", "minimum"} & {*schema, *(schema.get("anyOf") or [{}])[0]} for schema in schemas)

    def errors(self) -> set[str]:
        """The names of the errors that are among its examples."""
        return {
            name.rstrip("0123456789")
            for status, answer in self.text["responses"].items()
            if status[0] in "45"
            for name in answer["content"]["application/json"]["examples"]
        }


@pytest.fixture
async def document(api: Api) -> Json:
    document: Json = (await api.client.get("/openapi.json")).json()
    return document


@pytest.fixture
def operations(document: Json) -> list[Operation]:
    return [Operation(method, path, text) for path, item in document["paths"].items() for method, text in item.items()]


def concrete(kind: type[ConnectorError]) -> Iterator[type[ConnectorError]]:
    """The errors that are raised: those of the tree that have a code."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            if hasattr(child, "code") and child not in ABSTRACT:
                yield child
            yield from concrete(child)


def raised_by(operation: Operation) -> set[type[ConnectorError]]:
    """What an operation may raise, from what it reads and does."""
    raised: set[type[ConnectorError]] = {errors.BadRequest, errors.MethodNotAllowed, errors.InternalError}
    if operation.wants_a_key:
        raised |= {errors.Unauthorized, errors.RateLimited, errors.ServiceUnavailable}
    if "{" in operation.path:
        raised |= {errors.NotFound}
    if operation.refuses_values:
        raised |= {errors.ValidationFailed}
    if "requestBody" in operation.text:
        raised |= {errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.ValidationFailed}
    if "Idempotency-Key" in operation.parameters:
        raised |= {errors.IdempotencyKeyReused}
    if operation.path in (CONNECT, RECONNECT):
        raised |= {errors.QueueUnavailable, errors.ConnectTimeout, errors.TaskExpired, errors.KeyUnavailable}
        raised |= {*concrete(errors.PlatformError)} - OF_CONNECTED
    if operation.path == CONNECT:
        raised -= {errors.AnotherAccount}
    if (operation.method, operation.path) == ("post", SESSIONS):
        raised |= {errors.NoHostedForm}
    if operation.path.startswith("/v1/profiles") and "requestBody" in operation.text:
        raised |= {errors.ProfileNameTaken}
    if (operation.method, operation.path) == ("delete", PROFILE):
        raised |= {errors.ProfileInUse}
    if operation.path == SESSION:
        raised |= {errors.Forbidden, errors.ReconnectRequired, errors.QueueUnavailable, errors.SessionTimeout}
        raised |= {errors.KeyUnavailable, *concrete(errors.TemporaryFailure)}
    if operation.path == "/readyz":
        raised |= {errors.ServiceUnavailable}
    return raised


def test_every_route_is_documented_or_a_page(api: Api, operations: list[Operation]) -> None:
    paths = {route.path_format for route in iter_route_contexts(api.app.routes)}
    assert paths - PAGES == {one.path for one in operations}


def test_every_operation_documents_every_status(operations: list[Operation]) -> None:
    documented = {(one.method, one.path): {int(status) for status in one.text["responses"]} for one in operations}

    assert documented == STATUSES


def test_every_operation_documents_every_error_that_it_may_raise(operations: list[Operation]) -> None:
    for operation in operations:
        assert operation.errors() == {kind.__name__ for kind in raised_by(operation)}, operation.path


def test_every_error_is_documented_somewhere(document: Json, operations: list[Operation]) -> None:
    documented = set[str]().union(*(operation.errors() for operation in operations))
    text = orjson.dumps(document).decode()

    undocumented = {*concrete(errors.ConnectorError)} - OF_CONNECTED
    assert {kind.__name__ for kind in undocumented} - documented == {"Canceled"}
    assert errors.Canceled().message in text  # of a row, in its results


def test_the_examples_of_a_status_are_of_that_status(operations: list[Operation]) -> None:
    for operation in operations:
        for status, answer in operation.text["responses"].items():
            if status[0] in "45":
                assert answer["content"].keys() == {"application/json"}
                content = answer["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
                codes = {example["value"]["error"]["code"] for example in content["examples"].values()}
                assert {STATUS[code] for code in codes} == {int(status)}
                assert all(f"`{code}`" in answer["description"] for code in codes)


def headers_of(operation: Operation, status: int) -> set[str]:
    """Those that an answer may have."""
    named = {"X-Request-Id"}
    named |= {401: {"WWW-Authenticate"}, 405: {"Allow"}}.get(status, set())
    named |= {"Retry-After"} if status in {202, 429, 503, 504} else set()
    match operation.path, status:
        case "/v1/accounts/connect" | "/v1/accounts/{account_id}/reconnect", (
            200 | 201 | 202 | 401 | 409 | 422 | 429 | 500 | 503 | 504
        ):
            named |= {"Preference-Applied"}
            named |= {"Location"} if status in {202, 504} else set()
            named |= {"Retry-After"} if status == 500 else set()
        case ("/v1/connect/batches", 202) | ("/v1/connect/sessions", 201):
            named |= {"Location"}
        case "/v1/connect/batches/{batch_id}/results", 200:
            named |= {"Vary", "Content-Disposition"}
        case "/v1/connect/batches/{batch_id}/events", 200 | 204:
            named |= {"Cache-Control", "X-Accel-Buffering"}
        case "/v1/profiles" | "/v1/webhooks", 201:
            named |= {"Location"}
        case "/internal/accounts/{account_id}/session", 200:
            named |= {"Cache-Control"}
        case "/internal/accounts/{account_id}/session", 500:
            named |= {"Retry-After"}
        case path, 200 if path.startswith("/v1/connect/") and not path.startswith(SESSIONS):
            named |= {"Retry-After"}
    return named


def test_every_answer_documents_its_headers(operations: list[Operation]) -> None:
    for operation in operations:
        for status, answer in operation.text["responses"].items():
            assert answer["headers"].keys() == headers_of(operation, int(status)), (operation.path, status)
            for header in answer["headers"].values():
                assert header["description"]
                assert header["schema"]["type"]


def test_every_header_that_is_read_is_documented(operations: list[Operation]) -> None:
    named = {
        (operation.path, name)
        for operation in operations
        for name, parameter in operation.parameters.items()
        if parameter["in"] == "header"
    }

    assert named == {(operation.path, "X-Request-Id") for operation in operations} | {
        (CONNECT, "Prefer"),
        (CONNECT, "Idempotency-Key"),
        (RECONNECT, "Prefer"),
        (RECONNECT, "Idempotency-Key"),
        (BATCHES, "Idempotency-Key"),
        (f"{BATCH}/events", "Last-Event-ID"),
    }


def test_everything_is_described(document: Json, operations: list[Operation]) -> None:
    names = [operation.text["operationId"] for operation in operations]
    assert len({*names}) == len(names)
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for operation in operations:
        for text in (operation.text["summary"], operation.text["description"]):
            assert text.strip()
        assert {*operation.text["tags"]} < tags.keys()
        for part in (*operation.parameters.values(), *operation.text["responses"].values()):
            assert part["description"].strip()
    for name, schema in document["components"]["schemas"].items():
        for member, about in schema.get("properties", {}).items():
            assert about.get("description", "").strip(), f"{name}.{member}"
    assert document["info"]["description"]


def media_of(operation: Operation) -> Iterator[tuple[str, str, Json]]:
    """What bodies there are: where, of which media type, and what is said of them."""
    for media_type, content in operation.text.get("requestBody", {"content": {}})["content"].items():
        yield f"{operation.method} {operation.path}", media_type, content
    for status, answer in operation.text["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            yield f"{operation.method} {operation.path} {status}", media_type, content


def examples_in(content: Json) -> list[Any]:
    return [content["example"]] if "example" in content else [one["value"] for one in content["examples"].values()]


def exact(components: Json) -> Json:
    """The components, with no member that their schemas do not name."""
    schemas = {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in components["schemas"].items()
    }
    return {"schemas": schemas}


def test_every_body_has_an_example_that_is_valid(document: Json, operations: list[Operation]) -> None:
    for operation in operations:
        for where, media_type, content in media_of(operation):
            schema = content["schema"] | {"components": exact(document["components"])}
            validator = jsonschema_rs.validator_for(schema, validate_formats=True)
            examples = examples_in(content)
            assert examples, where
            if media_type == "text/event-stream":  # whose schema is that of one event
                examples = [event for example in examples for event in events_in(example)]
            for example in examples:
                assert [str(error) for error in validator.iter_errors(example)] == [], where


def events_in(stream: str) -> list[Json]:
    """Those that are not only about the stream itself. (WHATWG HTML, 9.2.6.)"""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in stream.split("\n\n") if block]
    events = [block for block in blocks if "event" in block]
    for event in events:
        Batch.model_validate_json(event["data"], extra="forbid")
    return events


def test_ids_in_examples_are_like_real_ones(document: Json) -> None:
    text = orjson.dumps(document["paths"]).decode()

    ids = set(re.findall(r"\b(?:sa|pr|ct|cb|cs|req|ws|wh|wd|evt)_[0-9A-Za-z]+", text))
    assert ids
    assert [one for one in ids if not re.fullmatch("[a-z]+_[0-9a-hjkmnp-tv-z]{26}", one)] == []


def test_no_example_has_a_secret_but_the_one_that_everybody_knows(document: Json) -> None:
    text = orjson.dumps(document).decode()

    assert set(re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", text)) == {"abcd-efgh-2345-wxyz"}
    assert re.findall(r"\bup_(?:live|test)_\w+", text) == []
    assert "eyJ" not in text  # how a token begins


@pytest.mark.parametrize("media_type", ["application/json", "application/x-ndjson", "text/csv"])
async def test_the_examples_of_batches_are_taken_in(api: Api, document: Json, media_type: str) -> None:
    example = document["paths"][BATCHES]["post"]["requestBody"]["content"][media_type]["example"]
    content = example.encode() if isinstance(example, str) else orjson.dumps(example)

    answer = await api.client.post(BATCHES, content=content, headers=api.key | {"Content-Type": media_type})

    assert (answer.status_code, answer.json()["data"]["total"], answer.json()["data"]["rejected"]) == (202, 2, [])


async def test_the_examples_of_connects_are_taken_in(api: Api, document: Json) -> None:
    content = document["paths"][CONNECT]["post"]["requestBody"]["content"]["application/json"]
    for example in examples_in(content):
        profile = {"profile_id": api.tenant.profile_ids[0]} if "profile_id" in example else {}
        answer = await api.client.post(CONNECT, json=example | profile, headers=api.key | {"Prefer": "respond-async"})
        assert answer.status_code == 202


def test_keys_are_documented_where_they_are_needed(document: Json, operations: list[Operation]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()

    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert scheme["description"]
    assert {one.path for one in operations if one.wants_a_key} == {
        path for _, path in STATUSES if path.startswith(("/v1/", "/internal/"))
    }


def test_the_scope_is_documented_where_it_is_needed(operations: list[Operation]) -> None:
    """OpenAPI 3.1, security requirement object: the roles that are required for the execution."""
    needed = {one.path: one.text["security"] for one in operations if one.wants_a_key}

    assert {path: scopes for path, scopes in needed.items() if scopes != [{"WorkspaceApiKey": []}]} == {
        SESSION: [{"WorkspaceApiKey": ["sessions"]}]
    }


def test_every_reference_leads_somewhere(document: Json) -> None:
    references = set(re.findall(r'"\$ref":"#/components/schemas/(\w+)"', orjson.dumps(document).decode()))

    assert references
    assert references == document["components"]["schemas"].keys()


def test_every_link_leads_to_an_operation(operations: list[Operation]) -> None:
    by_id = {operation.text["operationId"]: operation for operation in operations}
    links = [
        link
        for operation in operations
        for answer in operation.text["responses"].values()
        for link in answer.get("links", {}).values()
    ]

    assert links
    for link in links:
        assert link["parameters"].keys() <= by_id[link["operationId"]].parameters.keys()


def test_the_credentials_aliases_are_documented(document: Json) -> None:
    credentials = document["components"]["schemas"]["BlueskyCredentials"]

    assert set(credentials["properties"]) == {"handle", "identifier", "app_password", "password"}
    ways = credentials["allOf"][0]["anyOf"]
    assert [way["required"] for way in ways] == [["handle"], ["identifier"]]
    assert ways[1]["properties"]["identifier"]["maxLength"] == credentials["properties"]["handle"]["maxLength"]
    assert ways[1]["properties"]["handle"] == {"type": "null"}  # else the alias is not looked at
