"""Requests that no document tells of, straight into the app: any method, path, query, headers and body."""

import asyncio
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_shim.request_id import WELL_FORMED
from connections.contract import ErrorAnswer
from tests.fuzz.api import Observed, running
from tests.fuzz.scale import fuzzed

CONNECT = ("POST", "/v1/accounts/connect")
TASK = ("GET", "/v1/connect/tasks/ct_1")
ROUTES = [CONNECT, TASK, ("GET", "/docs/assets/swagger-ui.css"), ("GET", "/healthz"), ("GET", "/docs")]
PATHS = [path for _method, path in ROUTES] + ["/", "/docs/assets/", "/openapi.json", "/metrics", "/readyz"]
HEADERS = [
    b"authorization",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"expect",
    b"host",
    b"idempotency-key",
    b"prefer",
    b"range",
    b"if-modified-since",
    b"transfer-encoding",
    b"upgrade",
    b"x-request-id",
    b"x-forwarded-for",
]
VALUES = [
    b"application/json",
    b"Bearer ",
    b"respond-async",
    b"wait=",
    b"bytes=",
    b"gzip",
    b"identity",
    b"-1",
    b"1e9",
    b"\xff",
]
REFUSED_BY_INTAKE = {"required", "invalid_type", "too_long", "unknown_platform", "oauth_platform"}
BODY = {"platform": "bluesky", "credentials": {"handle": "alice.test", "app_password": "canary-password"}}

# A header as h11 and httptools let it through: no CR, LF or NUL.
odd = st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0"))
values = odd | st.lists(st.sampled_from(VALUES) | odd, max_size=4).map(b"".join)
headers = st.lists(st.tuples(st.sampled_from(HEADERS) | odd.map(bytes.lower).filter(bool), values), max_size=6)
methods = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"]) | st.text(
    "ABCXYZ!#$%&'*+-.^_`|~", min_size=1, max_size=8
)
paths = st.sampled_from(PATHS) | st.tuples(st.sampled_from(PATHS), st.text(max_size=20)).map("".join)
targets = st.sampled_from([*(3 * [CONNECT]), *ROUTES]) | st.tuples(methods, paths)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
changes = st.fixed_dictionaries(
    {}, optional={"platform": json_values, "profile_id": json_values, "credentials": json_values}
)
bodies = st.binary(max_size=80) | changes.map(lambda changed: orjson.dumps(BODY | changed))


class Client:
    """The app in an event loop of its own, called without any HTTP client in between."""

    def __init__(self, app: Observed, key: str, runner: asyncio.Runner) -> None:
        self.app = app
        self.key = key
        self._runner = runner
        self._lifespan: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(
        self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        return self._runner.run(self._send(method, path, query, headers, body))

    async def _send(
        self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(errors="surrogatepass"),
            "root_path": "",
            "query_string": query,
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        events = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return events.pop() if events else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(10):
            await self.app(scope, receive, send)
        start, *rest = sent
        return start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in rest)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("asgi")) as (app, tenant, _queue), asyncio.Runner() as runner:
        lifespan = app.app.router.lifespan_context(app.app)
        runner.run(lifespan.__aenter__())
        yield Client(app, tenant.key, runner)
        runner.run(lifespan.__aexit__(None, None, None))


@fuzzed(1200)
@given(targets, st.binary(max_size=30), headers, bodies, st.booleans())
def test_any_request_gets_an_answer_in_shape(
    client: Client,
    target: tuple[str, str],
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    has_key: bool,
) -> None:
    method, path = target
    key = [(b"authorization", f"Bearer {client.key}".encode())] if has_key else []

    status, answered, content = client.send(method, path, query, [*key, *headers], body)

    request_id = answered[b"x-request-id"].decode()
    assert WELL_FORMED.fullmatch(request_id)
    if status >= 400 and method != "HEAD":
        answer = ErrorAnswer.model_validate_json(content, extra="forbid")
        assert answer.request_id == request_id
        assert answer.error.code != "INTERNAL_ERROR"
        assert b"canary" not in content
    assert (status == 405) <= (b"allow" in answered)
    assert method not in answered.get(b"allow", b"").decode().split(", ")
    assert (status == 401) <= (answered.get(b"www-authenticate") == b"Bearer")
    is_repeated = b"idempotency-key" in dict(headers)  # perhaps, and then the wait may be over
    assert (status in {429, 503, 504} and not is_repeated) <= (b"retry-after" in answered)


names = ["handle", "identifier", "app_password", "password"]
some = st.none() | st.sampled_from(["alice.test", "", " ", "\x1c", "x" * 513, "x" * 2049]) | json_values
understood = st.fixed_dictionaries(
    {"platform": st.just("bluesky") | st.sampled_from(["myspace", "linkedin", 7, None])},
    optional={
        "credentials": st.fixed_dictionaries({}, optional=dict.fromkeys(names, some | st.just("canary"))) | json_values,
        "profile_id": st.none() | st.just("pr_1") | json_values,
    },
)


@pytest.fixture(scope="module")
def body_schema(client: Client) -> jsonschema_rs.Validator:
    _status, _headers, document = client.send("GET", "/openapi.json", b"", [], b"")
    components = orjson.loads(document)["components"]
    return jsonschema_rs.validator_for({"$ref": "#/components/schemas/ConnectRequest", "components": components})


@fuzzed(600)
@given(understood)
def test_a_body_is_understood_when_the_document_calls_it_valid_and_only_then(
    client: Client, body_schema: jsonschema_rs.Validator, body: dict[str, Any]
) -> None:
    key = (b"authorization", f"Bearer {client.key}".encode())
    content = orjson.dumps(body)

    status, _headers, answered = client.send("POST", "/v1/accounts/connect", b"", [key], content)

    issues = orjson.loads(answered)["error"].get("issues", []) if status == 422 else []
    is_refused = {issue["code"] for issue in issues} & REFUSED_BY_INTAKE != set()
    assert body_schema.is_valid(orjson.loads(content)) == (not is_refused)
