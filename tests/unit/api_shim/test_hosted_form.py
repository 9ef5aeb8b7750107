"""The hosted form as it is sent and taken: pages, statuses, headers, and what a form must be to be believed."""

import asyncio
import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from api_shim.hosted import words
from api_shim.hosted.branding import Branding
from api_shim.hosted.colour import contrast, ink_on, is_colour
from api_shim.hosted.form import parse_form
from api_shim.hosted.pages import connected_page, form_page, over_page, working_page
from api_shim.hosted.words import FAULTS, Fault, fault_of
from api_shim.pages import source_of
from connections import errors
from connections.connect_sessions.service import Visit
from connections.errors import CredentialsRejected, HandleNotFound, PlatformError
from connections.models import accounts, connect_sessions, connect_tasks, profiles, workspaces
from connections.outcome import Outcome
from connections.repository.connect_sessions import VisitedSession
from connections.sqltime import from_now
from tests.doubles import until
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.test_hanging_up import Caller
from tests.unit.api_shim.test_openapi import concrete

PASSWORD = "k3vq-zt7m-2xwp-hn5c"


@dataclass
class Person:
    """Somebody with a link and a browser that keeps cookies."""

    api: Api
    path: str
    session_id: str

    async def open(self, **headers: str) -> httpx.Response:
        return await self.api.client.get(self.path, headers=headers)

    async def send(
        self, handle: str = "alice.test", app_password: str = PASSWORD, *, token: str | None = None, **headers: str
    ) -> httpx.Response:
        """Opens the page, fills it in and sends it."""
        if token is None:
            token = token_in(await self.open())
        data = {"token": token, "handle": handle, "app_password": app_password}
        return await self.api.client.post(self.path, data=data, headers=headers)

    async def status(self) -> str:
        answer = await self.api.get(f"/v1/connect/sessions/{self.session_id}")
        return str(answer.json()["data"]["status"])

    def change(self, **values: Any) -> None:
        with self.api.database.write() as connection:
            connection.execute(update(connect_sessions).values(values))


@pytest.fixture
async def person(api: Api) -> Person:
    return await somebody(api)


async def somebody(api: Api, **members: str) -> Person:
    body = {"platform": "bluesky", "external_user_id": "user-42", **members}
    session = (await api.client.post("/v1/connect/sessions", json=body, headers=api.key)).json()["data"]
    return Person(api, urlsplit(session["url"]).path, session["id"])


def allow_returns(api: Api) -> None:
    with api.database.write() as connection:
        connection.execute(update(workspaces).values(return_urls=["https://app.example.com/"]))


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', page.text)
    assert found is not None
    return found[1]


def text_of(page: httpx.Response) -> str:
    """What can be read."""
    body = page.text.partition("<main>")[2]
    return html.unescape(re.sub(r"<[^>]*>", "", body))


def policy_of(page: httpx.Response) -> dict[str, str]:
    parts = page.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def tasks(api: Api) -> list[Any]:
    with api.database.read() as connection:
        return list(connection.execute(select(connect_tasks).order_by(connect_tasks.c.id)))


# --- the way through it


async def test_somebody_connects_an_account(api: Api, person: Person) -> None:
    api.queue.on_send = api.worker.succeed

    answer = await person.send()
    page = await person.open()

    assert (answer.status_code, answer.headers["location"]) == (303, person.path)
    assert (page.status_code, "alice.test is connected" in text_of(page)) == (200, True)
    assert "You can close this window" in text_of(page)
    with api.database.read() as connection:
        (account,) = connection.execute(select(accounts))
        (session,) = connection.execute(select(connect_sessions))
    assert (account.connection_type, account.external_user_id) == ("managed", "user-42")
    assert (session.account_id, await person.status()) == (account.id, "completed")
    (task,) = tasks(api)
    assert (task.connect_session_id, task.key_id, task.id) == (session.id, session.id, session.task_id)


async def test_a_failure_is_told_beside_the_form(api: Api, person: Person) -> None:
    api.queue.on_send = lambda task_id: api.worker.fail(task_id, CredentialsRejected())

    page = await person.send(app_password="my-main-password")

    assert page.status_code == 422
    assert FAULTS["unauthorized"].text in text_of(page)
    assert 'value="alice.test"' in page.text
    assert "my-main-password" not in page.text
    assert (await person.status(), len(tasks(api))) == ("pending", 1)

    api.queue.on_send = api.worker.succeed
    assert (await person.send()).status_code == 303
    assert await person.status() == "completed"


async def test_what_takes_longer_has_a_page_that_looks_again(
    api: Api, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_shim.hosted.visiting._WAIT_SECONDS", 0.01)

    answer = await person.send()
    working = await person.open()

    assert (answer.status_code, answer.headers["location"]) == (303, person.path)
    assert '<meta http-equiv="refresh" content="3">' in working.text
    assert "Connecting your account" in text_of(working)
    (task_id,) = api.queue.sent
    api.worker.fail(task_id, HandleNotFound())
    page = await person.open()
    assert (page.status_code, FAULTS["handle_not_found"].text in text_of(page)) == (200, True)
    assert 'http-equiv="refresh"' not in page.text


async def test_while_one_try_runs_no_other_begins(api: Api, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.hosted.visiting._WAIT_SECONDS", 0.01)
    token = token_in(await person.open())

    answers = [await person.send(handle, token=token) for handle in ("alice.test", "alice.test", "bob.test")]

    assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert len(tasks(api)) == 1


async def test_who_closes_the_page_finds_it_going_on(api: Api, person: Person) -> None:
    form = {"token": token_in(await person.open()), "handle": "alice.test", "app_password": PASSWORD}
    cookie = "; ".join(f"{name}={value}" for name, value in api.client.cookies.items())
    headers = {"Host": "api.test", "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    caller = Caller(api, "POST", person.path, body=urlencode(form).encode(), headers=headers)
    sending = asyncio.create_task(caller.ask())
    await until(lambda: len(api.queue.sent) == 1)

    caller.hang_up()
    await sending

    assert caller.answered[0]["status"] == 499
    assert "Connecting your account" in text_of(await person.open())
    api.worker.succeed(api.queue.sent[0])
    assert "alice.test is connected" in text_of(await person.open())


async def test_what_is_sent_again_after_the_end_changes_nothing(api: Api, person: Person) -> None:
    api.queue.on_send = api.worker.succeed
    token = token_in(await person.open())

    answers = [await person.send(token=token) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(tasks(api)) == 1


async def test_a_task_that_was_stored_but_not_sent_is_waited_for(api: Api, person: Person) -> None:
    api.queue.is_down = True

    answer = await person.send()

    assert answer.status_code == 303
    assert "Connecting your account" in text_of(await person.open())


async def test_an_account_that_is_connected_already(api: Api, person: Person) -> None:
    api.queue.on_send = lambda task_id: api.worker.fail(task_id, errors.AlreadyConnected("…"))

    page = await person.send()

    assert (page.status_code, "This account is connected already" in text_of(page)) == (409, True)


async def test_ten_tries_use_a_link_up(api: Api, person: Person) -> None:
    api.queue.on_send = lambda task_id: api.worker.fail(task_id, CredentialsRejected())

    token = token_in(await person.open())
    answers = [await person.send(app_password=f"guess-{n}", token=token) for n in range(12)]

    assert [answer.status_code for answer in answers] == [422] * 9 + [303] * 3
    page = await person.open()
    assert (page.status_code, "This link is used up" in text_of(page)) == (410, True)
    assert (len(tasks(api)), await person.status()) == (10, "expired")


async def test_a_link_that_has_expired(api: Api, person: Person) -> None:
    token = token_in(await person.open())
    person.change(expires_at=from_now(-1))

    page, answer = await person.open(), await person.send(token=token)

    assert (page.status_code, "This link has expired" in text_of(page)) == (410, True)
    assert answer.status_code == 303
    assert tasks(api) == []


async def test_what_still_runs_when_the_time_is_over_is_told(
    api: Api, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_shim.hosted.visiting._WAIT_SECONDS", 0.01)
    await person.send()
    person.change(expires_at=from_now(-1))

    assert "Connecting your account" in text_of(await person.open())
    api.worker.succeed(api.queue.sent[0])
    assert "alice.test is connected" in text_of(await person.open())


@pytest.mark.parametrize("token", ["x" * 43, "x", "%00", "%FF", "<script>"])
async def test_a_link_that_never_was(api: Api, token: str) -> None:
    page, answer = (
        await api.client.get(f"/connect/{token}"),
        await api.client.post(f"/connect/{token}", data={"a": "b"}),
    )

    assert {page.status_code, answer.status_code} == {404}
    assert "There is nothing at this link" in text_of(page)
    assert "script" not in page.text


async def test_a_link_to_a_profile_that_was_deleted(api: Api, person: Person) -> None:
    with api.database.write() as connection:
        connection.execute(update(profiles).values(deleted_at=from_now()))

    assert (await person.open()).status_code == 404


async def test_it_leads_back_with_what_came_of_it(api: Api) -> None:
    allow_returns(api)
    person = await somebody(api, return_url="https://app.example.com/accounts?tab=a&b='c'")
    form = await person.open()
    api.queue.on_send = api.worker.succeed
    await person.send()

    page = await person.open()

    (leave,) = re.findall(r'<meta http-equiv="refresh" content="0; url=([^"]*)">', page.text)
    assert f'href="{leave}"' in page.text
    url = urlsplit(html.unescape(leave))
    assert (url.scheme, url.netloc, url.path) == ("https", "app.example.com", "/accounts")
    assert parse_qs(url.query) == {
        "tab": ["a"],
        "b": ["'c'"],
        "connect_session_id": [person.session_id],
        "status": ["completed"],
    }
    assert 'http-equiv="refresh"' not in form.text
    assert "status=pending" in form.text


async def test_an_overloaded_service_takes_no_try(api: Api, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise errors.ServiceUnavailable

    monkeypatch.setattr(api.shim.queue_age, "check", refuse)

    page = await person.send()

    assert (page.status_code, FAULTS["service_unavailable"].text in text_of(page)) == (503, True)
    with api.database.read() as connection:
        assert connection.execute(select(connect_sessions.c.attempts)).scalar() == 0


async def test_a_database_that_is_away_is_told_to_people(
    api: Api, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_token: str) -> None:
        raise errors.ServiceUnavailable

    monkeypatch.setattr(api.shim.connect_sessions, "visit", fail)

    page = await person.open()

    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "We cannot do this right now" in text_of(page)


# --- what a form must be


async def test_what_is_missing_is_told_and_costs_nothing(api: Api, person: Person) -> None:
    page = await person.send(" ", "")

    assert page.status_code == 422
    assert [text in text_of(page) for text in (words.NO_HANDLE.text, words.NO_APP_PASSWORD.text)] == [True, True]
    assert len(re.findall('<input[^>]* aria-invalid="true"', page.text)) == 2
    with api.database.read() as connection:
        assert connection.execute(select(connect_sessions.c.attempts)).scalar() == 0


async def test_what_is_too_long(person: Person) -> None:
    page = await person.send("a" * 2049, "b" * 513)

    assert page.status_code == 422
    assert words.TOO_LONG_HANDLE.text in text_of(page)
    assert words.TOO_LONG_APP_PASSWORD.text in text_of(page)
    assert "aaaa" not in page.text


@pytest.mark.parametrize("content", [b"\xff", b"handle=%FF", b"&".join(b"x=1" for _ in range(9))])
async def test_what_is_no_form(person: Person, content: bytes) -> None:
    await person.open()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    page = await person.api.client.post(person.path, content=content, headers=headers)

    assert (page.status_code, words.UNREADABLE.text in text_of(page)) == (400, True)


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [(b"{}", "application/json", 415), (b"a=b", "", 415), (b"a=" + b"b" * 16_384, None, 413)],
)
async def test_what_is_not_read_at_all(person: Person, content: bytes, media_type: str | None, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded" if media_type is None else media_type}

    page = await person.api.client.post(person.path, content=content, headers=headers)

    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")


Forge = Callable[[Person, str], Awaitable[httpx.Response]]


async def without_cookie(person: Person, token: str) -> httpx.Response:
    person.api.client.cookies.clear()
    return await person.send(token=token)


async def with_anothers_cookie(person: Person, token: str) -> httpx.Response:
    person.api.client.cookies.clear()
    await person.open()
    return await person.send(token=token)


async def with_anothers_token(person: Person, _token: str) -> httpx.Response:
    other = await somebody(person.api)
    return await person.send(token=token_in(await other.open()))


FORGED: dict[str, Forge] = {
    "no token": lambda person, _token: person.send(token=""),
    "a made-up token": lambda person, _token: person.send(token="0" * 64),
    "a token that is no text of ours": lambda person, _token: person.send(token="ä"),
    "the token of another link": with_anothers_token,
    "no cookie": without_cookie,
    "another browser's cookie": with_anothers_cookie,
    "another site": lambda person, token: person.send(token=token, **{"Sec-Fetch-Site": "cross-site"}),
    "another port": lambda person, token: person.send(token=token, **{"Sec-Fetch-Site": "same-site"}),
    "no site": lambda person, token: person.send(token=token, **{"Sec-Fetch-Site": "none"}),
    "another origin": lambda person, token: person.send(token=token, Origin="https://evil.example"),
    "another scheme": lambda person, token: person.send(token=token, Origin="https://api.test"),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_form_of_another_page_is_not_taken(api: Api, person: Person, forge: Forge) -> None:
    page = await forge(person, token_in(await person.open()))

    assert (page.status_code, words.FORGED.text in text_of(page)) == (403, True)
    assert PASSWORD not in page.text
    assert tasks(api) == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin", "Origin": "null"}, {"Origin": "http://api.test"}],
    ids=["an old browser", "as ours does it", "one that says who sends it"],
)
async def test_a_form_of_our_page_is_taken(api: Api, person: Person, headers: dict[str, str]) -> None:
    api.queue.on_send = api.worker.succeed

    assert (await person.send(**headers)).status_code == 303
    assert len(tasks(api)) == 1


async def test_two_tabs_are_one_browser(api: Api, person: Person) -> None:
    other = await somebody(api)
    first, second = token_in(await person.open()), token_in(await other.open())
    api.queue.on_send = api.worker.succeed

    assert (await person.send("a.test", token=first)).status_code == 303
    assert (await other.send("b.test", token=second)).status_code == 303
    assert len(tasks(api)) == 2


async def test_the_cookie_is_for_this_host_and_no_script(
    api: Api, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = (await person.open()).headers["set-cookie"]
    secure = api.shim.settings.model_copy(update={"public_url": "https://connect.example.com"})
    monkeypatch.setattr(type(api.shim), "settings", secure, raising=False)
    api.client.cookies.clear()
    kept = (await person.open()).headers["set-cookie"]

    assert re.fullmatch(r"connect=[\w-]{43}; HttpOnly; Path=/; SameSite=lax", plain)
    assert re.fullmatch(r"__Host-connect=[\w-]{43}; HttpOnly; Path=/; SameSite=lax; Secure", kept)


# --- what the pages are


async def all_pages(api: Api, person: Person) -> list[httpx.Response]:
    """One of each kind."""
    token = token_in(await person.open())
    pages = [await person.open(), await person.send("", token=token), await api.client.get("/connect/nothing")]
    pages.append(await api.client.post(person.path, content=b"x"))
    person.change(expires_at=from_now(-1))
    pages.append(await person.open())
    person.change(completed_at=from_now())
    pages.append(await person.open())
    assert [page.status_code for page in pages] == [200, 422, 404, 415, 410, 200]
    return pages


async def test_nothing_may_be_loaded_framed_stored_or_told_to_others(api: Api, person: Person) -> None:
    for page in await all_pages(api, person):
        (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
        assert policy_of(page) == {
            "default-src": "'none'",
            "connect-src": "'none'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
            "img-src": "data:",
            "style-src": source_of(style),
        }
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "camera=()" in page.headers["permissions-policy"]
        assert not re.search(r"<script|<[^>]*\s(on\w+|style)=", page.text)


async def test_pages_name_their_language_and_themselves(api: Api, person: Person) -> None:
    titles = [re.findall(r"<title>(.*?)</title>", page.text) for page in await all_pages(api, person)]

    assert titles == [
        ["Connect your Bluesky account (Acme)"],
        ["Error: Connect your Bluesky account (Acme)"],
        ["There is nothing at this link"],
        ["We could not read this"],
        ["This link has expired (Acme)"],
        ["Your account is connected (Acme)"],
    ]


async def test_a_logo_is_the_one_thing_that_comes_from_elsewhere(api: Api, person: Person) -> None:
    with api.database.write() as connection:
        url = "https://cdn.example.com:8443/a;b/logo.png?x=1&y=2"
        connection.execute(update(profiles).values(branding_logo_url=url, branding_display_name="Shop"))

    page = await person.open()

    assert policy_of(page)["img-src"] == "data: https://cdn.example.com:8443"
    assert f'<img src="{html.escape(url)}" alt="" referrerpolicy="no-referrer">' in page.text


async def test_head(person: Person) -> None:
    answer = await person.api.client.head(person.path)

    assert (answer.status_code, answer.content) == (200, b"")


async def test_it_is_counted_by_its_template_and_not_documented(api: Api, person: Person) -> None:
    await person.open()

    text = (await api.client.get("/metrics")).text
    assert 'requests_total{method="GET",route="/connect/{token}",status="200"} 1.0' in text
    assert person.path not in text
    assert "/connect/{token}" not in (await api.client.get("/openapi.json")).json()["paths"]


# --- words and colours


def test_every_outcome_has_words_of_its_own() -> None:
    causes = {Outcome.of_error(kind().describe()).cause for kind in concrete(PlatformError)}
    # Not met here: these are only said of accounts that were connected before.
    causes -= {"account_mismatch", "account_moved", "session_ended"}

    assert causes <= FAULTS.keys()
    for fault in FAULTS.values():
        assert fault.text.endswith(".")
        assert fault.status in {409, 410, 422, 429, 503}


def test_the_field_that_is_wrong_is_the_one_that_is_named() -> None:
    for kind in concrete(errors.InvalidIdentity):
        (issue,) = kind().issues
        assert fault_of(kind().describe()).field == issue.field.removeprefix("credentials.")


def test_why_it_is_no_handle_is_told() -> None:
    error = errors.InvalidHandle("This is an e-mail address, not a handle.")

    assert fault_of(error.describe()) == Fault("This is an e-mail address, not a handle.", words.HANDLE)


def test_what_nobody_has_foreseen_is_our_fault() -> None:
    assert fault_of(errors.InternalError().describe()).status == 500


COLOURS = st.from_regex(r"\A#[0-9A-Fa-f]{6}\Z")


@given(COLOURS)
def test_what_is_written_on_any_colour_can_be_read(colour: str) -> None:
    assert contrast(ink_on(colour), colour) >= 4.5


def test_contrast_is_what_wcag_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@given(st.text() | st.from_regex(r"#[0-9a-f]{6}.*"))
def test_nothing_but_a_colour_is_one(text: str) -> None:
    assert is_colour(text) == (re.fullmatch("#[0-9A-Fa-f]{6}", text, re.ASCII) is not None)


# --- whatever strangers write stays text

SESSION = VisitedSession(
    id="cs_1",
    workspace_id="ws_1",
    profile_id="pr_1",
    platform="bluesky",
    return_url="https://app.example.com/?a=b",
    expires_at=datetime.now(UTC) + timedelta(hours=1),
    attempts=0,
    task_id=None,
    completed_at=None,
    account_name=None,
    workspace_name="Acme",
    display_name=None,
    logo_url=None,
    primary_color=None,
    has_expired=False,
)


class Outline(HTMLParser):
    """Elements and the names of their attributes: what of a page is no text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.parts: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str | None] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value for name, value in attrs if name == "value"]

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


NASTY = st.text() | st.sampled_from(
    [
        "\"'><script>alert(1)</script>",
        "</style><script>",
        "$name ${token} $$",
        "&lt;b&gt; &amp; <!-- ]]> -->",
        "javascript:alert(1)",
        "\u202e\0\ufeff</title>",
        "#000000;} body{background:url(https://evil.example)}",
        "https://cdn.test/\"'><img src=x>",
        "https://cdn.test;script-src *",
    ]
)
WITH_LOGO = "https://cdn.example.com/logo.png"


@given(name=NASTY, color=NASTY, logo=NASTY, handle=NASTY, account=NASTY, text=NASTY)
def test_nothing_breaks_out(name: str, color: str, logo: str, handle: str, account: str, text: str) -> None:
    session = replace(SESSION, display_name=f"x{name}", primary_color=color, logo_url=logo, account_name=f"x{account}")
    plain = replace(SESSION, logo_url=WITH_LOGO if Branding.of(session).logo_url else None)
    if is_colour(color):
        plain = replace(plain, primary_color=color)
    faults = [Fault(f"x{text}", words.HANDLE), Fault(f"x{text}")]
    tame = [Fault("x", words.HANDLE), Fault("x")]
    for page, expected in (
        (
            form_page(Visit(session, None), token="t", handle=handle, faults=faults),
            form_page(Visit(plain, None), token="t", faults=tame),
        ),
        (working_page(Visit(session, None)), working_page(Visit(plain, None))),
        (connected_page(Visit(session, None)), connected_page(Visit(plain, None))),
        (over_page(expired(session)), over_page(expired(plain))),
    ):
        assert Outline(bytes(page.body)).parts == Outline(bytes(expected.body)).parts
        names = [part.partition(" ")[0] for part in page.headers["content-security-policy"].split("; ")]
        assert names == [
            "default-src",
            "connect-src",
            "base-uri",
            "form-action",
            "frame-ancestors",
            "img-src",
            "style-src",
        ]
        assert page.headers["content-security-policy"].count("https:") <= 1
        assert "$" not in name + handle + account + text + logo or b"${" not in bytes(expected.body)
    form = form_page(Visit(session, None), token="t", handle="<\"'&>", faults=faults)
    assert "<\"'&>" in Outline(bytes(form.body)).values


def expired(session: VisitedSession) -> Visit:
    return Visit(replace(session, has_expired=True), None)


@given(st.binary(max_size=300))
def test_any_body_is_a_form_or_none(body: bytes) -> None:
    try:
        form = parse_form(body)
    except ValueError:
        return
    assert isinstance(form.faults, list)
    assert form.app_password == "" or form.app_password not in repr(form).replace(repr(form.handle), "")


@pytest.mark.parametrize("handle", [PASSWORD, f" {PASSWORD} ", "the.same", "x." * 127, "hunter2", "p4ss w.rd", "a<b.c"])
def test_what_may_be_a_password_in_the_wrong_field_is_not_shown(handle: str) -> None:
    form = parse_form(urlencode({"handle": handle, "app_password": "the.same", "token": "t"}).encode())

    assert form.handle_to_show == ""


@pytest.mark.parametrize("handle", ["alice.test", "@alice.bsky.social", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"])
def test_a_handle_need_not_be_typed_again(handle: str) -> None:
    form = parse_form(urlencode({"handle": f" {handle} ", "app_password": PASSWORD}).encode())

    assert form.handle_to_show == handle
