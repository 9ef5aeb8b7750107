"""Requests that cannot be served as they are: each gets its status, the one shape, and no task."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from connections.service import KEY_CACHE_SECONDS
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import BODY, Api
from tests.unit.api_shim.shapes import error_of

PATH = "/v1/accounts/connect"
JSON = {"Content-Type": "application/json"}
CREDENTIALS = BODY["credentials"]


def body(**changes: Any) -> bytes:
    return orjson.dumps(BODY | changes)


INVALID: dict[str, tuple[bytes, set[tuple[str, str]]]] = {
    "empty": (b"", {("body", "invalid_json")}),
    "no JSON": (b"{", {("body", "invalid_json")}),
    "bad UTF-8": (b'{"platform": "\xff"}', {("body", "invalid_json")}),
    "lone surrogate": (b'{"platform": "\\ud800"}', {("body", "invalid_json")}),
    "NaN": (b'{"platform": NaN}', {("body", "invalid_json")}),
    "deep nesting": (b"[" * 60_000, {("body", "invalid_json")}),
    "two documents": (b"{}{}", {("body", "invalid_json")}),
    "array": (b"[]", {("body", "invalid_type")}),
    "null": (b"null", {("body", "invalid_type")}),
    "text": (b'"x"', {("body", "invalid_type")}),
    "nothing": (b"{}", {("platform", "required"), ("credentials", "required")}),
    "platform is a number": (body(platform=5), {("platform", "invalid_type")}),
    "platform is empty": (body(platform=""), {("platform", "invalid_type")}),
    "unknown platform": (body(platform="myspace"), {("platform", "unknown_platform")}),
    "OAuth platform": (body(platform="linkedin"), {("platform", "oauth_platform")}),
    "profile is a number": (body(profile_id=7), {("profile_id", "invalid_type")}),
    "profile has a NUL": (body(profile_id="pr_\0"), {("profile_id", "unknown_profile")}),
    "credentials are a list": (body(credentials=[]), {("credentials", "invalid_type")}),
    "no credentials": (
        body(credentials={}),
        {("credentials.handle", "required"), ("credentials.app_password", "required")},
    ),
    "empty password": (
        body(credentials=CREDENTIALS | {"app_password": " "}),
        {("credentials.app_password", "required")},
    ),
    "password is a number": (
        body(credentials=CREDENTIALS | {"app_password": 1}),
        {("credentials.app_password", "invalid_type")},
    ),
    "long password": (
        body(credentials=CREDENTIALS | {"app_password": "x" * 513}),
        {("credentials.app_password", "too_long")},
    ),
}


@pytest.mark.parametrize(("content", "issues"), INVALID.values(), ids=INVALID)
async def test_an_invalid_body_is_told_field_by_field(api: Api, content: bytes, issues: set[tuple[str, str]]) -> None:
    answer = await api.client.post(PATH, content=content, headers=api.key | JSON)

    error = error_of(answer, 422)
    assert error["code"] == "VALIDATION_ERROR"
    assert {(issue["field"], issue["code"]) for issue in error["issues"]} == issues
    assert api.queue.sent == []


ACCEPTED = {
    "NUL in a credential": body(credentials=CREDENTIALS | {"handle": "a\0b"}),
    "duplicate keys, the last one counts": b'{"platform": "x", ' + body()[1:],
    "aliases": body(credentials={"identifier": "alice.test", "password": "x"}),
    "unknown members": body(colour="blue"),
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED)
async def test_what_is_odd_but_clear_is_accepted(api: Api, content: bytes) -> None:
    answer = await api.client.post(PATH, content=content, headers=api.key | JSON | {"Prefer": "respond-async"})

    assert answer.status_code == 202


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield b" " * 1024


BYTES = {"announced": b" " * (64 * 1024 + 1), "1 MB": b" " * 1024 * 1024}


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
async def test_a_long_body_is_refused_by_its_announcement(api: Api, content: bytes) -> None:
    answer = await api.client.post(PATH, content=content, headers=api.key | JSON)

    assert error_of(answer, 413)["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_long_body_is_refused_when_it_comes_in_chunks(api: Api) -> None:
    answer = await api.client.post(PATH, content=in_chunks(1024 * 1024), headers=api.key | JSON)

    assert error_of(answer, 413)["code"] == "PAYLOAD_TOO_LARGE"


async def test_the_longest_body_is_read(api: Api) -> None:
    content = body() + b" " * (64 * 1024 - len(body()))

    answer = await api.client.post(PATH, content=content, headers=api.key | JSON | {"Prefer": "respond-async"})

    assert answer.status_code == 202


JSON_TYPES = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
OTHER_TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "x"]


@pytest.mark.parametrize("media_type", JSON_TYPES)
async def test_json_by_any_of_its_names(api: Api, media_type: str) -> None:
    headers = api.key | {"Content-Type": media_type, "Prefer": "respond-async"}

    assert (await api.client.post(PATH, content=body(), headers=headers)).status_code == 202


async def test_a_body_without_a_type_is_json(api: Api) -> None:
    headers = api.key | {"Prefer": "respond-async"}

    assert (await api.client.post(PATH, content=body(), headers=headers)).status_code == 202


@pytest.mark.parametrize("media_type", OTHER_TYPES)
async def test_other_types_are_unsupported(api: Api, media_type: str) -> None:
    answer = await api.client.post(PATH, content=body(), headers=api.key | {"Content-Type": media_type})

    assert error_of(answer, 415)["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_compressed_body_is_unsupported(api: Api) -> None:
    answer = await api.client.post(PATH, content=body(), headers=api.key | JSON | {"Content-Encoding": "gzip"})

    assert "Content-Encoding" in error_of(answer, 415)["message"]


ADDRESSES = [
    ("GET", PATH, 405, "POST"),
    ("HEAD", PATH, 405, "POST"),
    ("OPTIONS", PATH, 405, "POST"),
    ("BREW", PATH, 405, "POST"),
    ("DELETE", "/v1/connect/tasks/ct_1", 405, "GET"),
    ("POST", "/healthz", 405, "GET"),
    ("POST", "/docs/assets/swagger-ui.css", 405, "GET"),
    ("GET", "/docs/assets/core.py", 404, None),
    ("POST", PATH + "/", 404, None),
    ("GET", "/", 404, None),
    ("GET", "/v1/nothing", 404, None),
    ("GET", "/v1/connect/tasks/", 404, None),
    ("GET", "/docs/assets/../../etc/passwd", 404, None),
    ("GET", "/docs/assets/%2e%2e/%2e%2e/core.py", 404, None),
]


@pytest.mark.parametrize(("method", "path", "status", "allow"), ADDRESSES)
async def test_wrong_addresses_and_methods(api: Api, method: str, path: str, status: int, allow: str | None) -> None:
    answer = await api.client.request(method, path, headers=api.key)

    if method == "HEAD":
        assert answer.status_code == status
    else:
        error_of(answer, status)
    if allow is not None:
        assert answer.headers["allow"] == allow


BAD_KEYS = {
    "none": None,
    "empty": "",
    "no scheme": "up_test_abcdefgh" + "x" * 32,
    "other scheme": "Basic dXA6eA==",
    "only the scheme": "Bearer",
    "no key": "Bearer x",
    "unknown": "Bearer up_test_abcdefgh" + "x" * 32,
    "binary": "Bearer \xff\xfe",
}


@pytest.mark.parametrize("authorization", BAD_KEYS.values(), ids=BAD_KEYS)
async def test_a_bad_key_is_refused_with_the_same_words(api: Api, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]

    answer = await api.client.post(PATH, content=body(), headers=headers)

    error = error_of(answer, 401)
    assert error["message"] == "The API key is missing, unknown, revoked or expired."
    assert (error["code"], error["error_source"]) == ("UNAUTHORIZED", "unipost")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_expired_key_is_refused(api: Api) -> None:
    api.tenant = make_tenant(api.database, key_expires_in=-1)

    error_of(await api.connect(), 401)


async def test_who_has_no_key_learns_nothing_else(api: Api) -> None:
    answer = await api.client.post(PATH, content=b"{", headers={"Content-Type": "text/plain"})
    error_of(answer, 401)
    error_of(await api.client.get("/v1/connect/tasks/ct_1", params={"wait": "x"}), 401)


async def test_the_scheme_is_not_case_sensitive(api: Api) -> None:
    headers = {"Authorization": f"bEARER {api.tenant.key}", "Prefer": "respond-async"}

    assert (await api.client.post(PATH, json=BODY, headers=headers)).status_code == 202


async def test_a_known_key_is_recognised_without_a_thread(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await api.connect(prefer="respond-async")).status_code == 202
    monkeypatch.setattr(api.shim.service, "authenticate", None)

    assert KEY_CACHE_SECONDS > 5  # longer than this test
    assert (await api.connect(prefer="respond-async")).status_code == 202


async def test_a_caller_who_hangs_up_in_mid_body_is_no_bug(api: Api) -> None:
    events: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in (api.key | JSON).items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": headers,
    }
    await api.app(scope, receive, send)

    assert sent[0]["status"] == 400
