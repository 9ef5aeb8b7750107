"""Requests that no document tells of, straight into the app: any method, path, query, headers and body."""

import asyncio
from collections.abc import Iterator
from typing import Any

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
    assert (status in {429, 503, 504}) <= (b"retry-after" in answered)
