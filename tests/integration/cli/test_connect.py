"""`connector connect` against a service that answers as told."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app

ACCOUNT = {
    "id": "sa_1",
    "profile_id": "pr_1",
    "platform": "bluesky",
    "account_name": "alice.test",
    "status": "active",
    "connection_type": "byo",
    "connected_at": "2026-11-23T10:00:00.000Z",
    "external_account_id": "did:plc:alice",
}
CONNECTED = (201, {**ACCOUNT, "data": ACCOUNT, "request_id": "req_1"})
RATE_LIMITED = {
    "code": "UPSTREAM_RATE_LIMITED",
    "normalized_code": "upstream_rate_limited",
    "message": "Bluesky's rate limit is used up for now.",
    "next_action": "wait_and_retry",
}
TIMEOUT = (504, {"error": {**RATE_LIMITED, "code": "CONNECT_TIMEOUT"}, "request_id": "req_1"})

Answer = tuple[int, Mapping[str, Any]]


def task(status: str, **more: Any) -> Answer:
    data = {
        "id": "ct_1",
        "status": status,
        "platform": "bluesky",
        "profile_id": "pr_1",
        "attempts": 1,
        "next_attempt_at": None,
        "created_at": ACCOUNT["connected_at"],
        "finished_at": None,
        "account": None,
        "error": None,
        **more,
    }
    return 200, {"data": data, "request_id": "req_2"}


class Service(ThreadingHTTPServer):
    """Gives its answers one after the other and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers: list[Answer] = []
        self.retry_after: str | None = None
        self.asked: list[tuple[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Authorization"] == "Bearer up_test_key"
        self._answer(body)

    def do_GET(self) -> None:
        self._answer(None)

    def _answer(self, body: Any) -> None:
        self.server.asked.append((self.path, body))
        status, answer = self.server.answers.pop(0)
        self.send_response(status)
        if status in {202, 504}:
            self.send_header("Location", "/v1/connect/tasks/ct_1")
        if self.server.retry_after is not None:
            self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.shutdown()
        thread.join()


Connect = Callable[..., Result]


@pytest.fixture
def connect(service: Service, monkeypatch: pytest.MonkeyPatch) -> Connect:
    monkeypatch.setenv("CONNECTOR_URL", service.url)
    monkeypatch.setenv("UNIPOST_API_KEY", "up_test_key")
    runner = CliRunner()

    def run(*options: str, typed: str = "abcd-efgh-2345-wxyz\n", **variables: str) -> Result:
        arguments = ["connect", "alice.test", *options]
        return runner.invoke(app, arguments, input=typed, env=variables, catch_exceptions=False)

    return run


def test_a_connected_account(connect: Connect, service: Service) -> None:
    service.answers = [CONNECTED]

    result = connect("--password-stdin", "--profile", "pr_1")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "Connected alice.test",
        "  account  sa_1",
        "  DID      did:plc:alice",
        "  profile  pr_1",
    ]
    credentials = {"handle": "alice.test", "app_password": "abcd-efgh-2345-wxyz"}
    body = {"platform": "bluesky", "credentials": credentials, "profile_id": "pr_1"}
    assert service.asked == [("/v1/accounts/connect", body)]


def test_an_error_says_what_to_do(connect: Connect, service: Service) -> None:
    issues = [{"field": "x", "code": "y", "message": "More about it."}]
    error = {**RATE_LIMITED, "hint": "It refills by the hour.", "issues": issues}
    service.answers = [(429, {"error": error, "request_id": "req_1"})]

    result = connect(CONNECTOR_APP_PASSWORD="abcd-efgh-2345-wxyz")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "Not connected: Bluesky's rate limit is used up for now.",
        "  - More about it.",
        "  hint     It refills by the hour.",
        "  next     wait a little and try again",
        "  code     UPSTREAM_RATE_LIMITED",
        "  request  req_1",
    ]


@pytest.mark.parametrize(
    ("retry_after", "said"),
    [
        ("1", "try again in 1 s"),
        ("90", "try again in 90 s"),
        ("91", "try again in 2 min"),
        ("840", "try again in 14 min"),
        ("841", "try again in 15 min"),
        ("7300", "try again in 3 h"),
        ("Tue, 24 Nov 2026 10:00:00 GMT", "wait a little and try again"),
        ("-1", "wait a little and try again"),
        ("9" * 5000, "wait a little and try again"),
    ],
)
def test_how_long_to_wait(connect: Connect, service: Service, retry_after: str, said: str) -> None:
    service.answers = [(429, {"error": RATE_LIMITED, "request_id": "req_1"})]
    service.retry_after = retry_after

    result = connect("--password-stdin")

    assert f"  next     {said}" in result.stderr.splitlines()


def test_a_wait_is_told_only_to_who_may_come_back(connect: Connect, service: Service) -> None:
    service.answers = [(422, {"error": {**RATE_LIMITED, "next_action": "fix_request"}, "request_id": "req_1"})]
    service.retry_after = "60"

    assert "next" not in connect("--password-stdin").stderr


@pytest.mark.parametrize("first", [TIMEOUT, (202, {})], ids=["timeout", "accepted"])
def test_a_task_that_goes_on_is_followed_to_its_end(connect: Connect, service: Service, first: Answer) -> None:
    service.answers = [
        first,
        task("retrying", error={**RATE_LIMITED, "http_status": 429}),
        task("succeeded", account=ACCOUNT),
    ]

    assert connect("--password-stdin").exit_code == 0
    assert [path for path, _ in service.asked[1:]] == ["/v1/connect/tasks/ct_1?wait=30"] * 2


def test_a_task_that_fails_in_the_end(connect: Connect, service: Service) -> None:
    service.answers = [TIMEOUT, task("expired", error={**RATE_LIMITED, "http_status": 504})]

    result = connect("--password-stdin")

    assert result.exit_code == 1
    assert result.stderr.startswith("Not connected: Bluesky's rate limit is used up for now.\n")


def test_another_kind_of_server(connect: Connect, service: Service) -> None:
    service.answers = [(200, {"hello": "world"})]

    result = connect("--password-stdin")

    assert (result.exit_code, result.stderr) == (1, f"connector: what answers at {service.url} is not this service\n")


def test_no_server(connect: Connect) -> None:
    result = connect("--password-stdin", "--url", "http://127.0.0.1:1")

    assert (result.exit_code, result.stderr) == (
        1,
        "connector: nothing answers at http://127.0.0.1:1; start the service or set CONNECTOR_URL\n",
    )


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "localhost:8000", "ftp://127.0.0.1", "nonsense", "http://127.0.0.1:x"]
)
def test_what_is_no_url(connect: Connect, url: str) -> None:
    result = connect("--password-stdin", "--url", url)

    assert result.exit_code == 1
    assert result.stderr == (
        f"connector: {url} is not a URL of the service: it must begin with http:// or https://, "
        "such as http://127.0.0.1:8000\n"
    )


@pytest.mark.parametrize("key", ["up_test_k\u00e9y", "up_test_key\n", "\u201cup_test_key\u201d", "up test key"])
def test_what_cannot_be_a_key_is_not_sent_and_not_repeated(connect: Connect, service: Service, key: str) -> None:
    result = connect("--password-stdin", UNIPOST_API_KEY=key)

    assert (result.exit_code, result.stderr) == (
        1,
        "connector: UNIPOST_API_KEY has characters that no API key has; copy it again\n",
    )
    assert service.asked == []


def test_bytes_that_are_no_text(connect: Connect, service: Service) -> None:
    result = connect(CONNECTOR_APP_PASSWORD="p\udce4ssword")

    assert (result.exit_code, result.stderr) == (1, "connector: handle or app password is not UTF-8\n")
    assert service.asked == []


def test_without_a_terminal_nobody_can_be_asked(connect: Connect, service: Service) -> None:
    result = connect()

    assert result.exit_code == 1
    assert "give the app password as CONNECTOR_APP_PASSWORD, or on stdin with --password-stdin" in result.stderr
    assert service.asked == []


def test_a_key_is_needed(connect: Connect) -> None:
    result = connect("--password-stdin", UNIPOST_API_KEY="")

    assert result.exit_code == 2
    assert "UNIPOST_API_KEY" in result.stderr
