"""The hosted form before the service it was made for, in the hands of somebody who has only a link."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import update

from connections.migrate import upgrade
from connections.models import profiles
from sandbox.client import SandboxAccount
from sandbox.faults import Delay
from sandbox.process import SandboxProcess
from tests.browser.chromium import Page
from tests.browser.contrast import faint_texts
from tests.e2e.stack import Service, running_service
from tests.factories import Tenant
from tests.servers import running_valkey, wait_until

LOGIN = "com.atproto.server.createSession"
PASSWORD = "abcd-efgh-2345-wxyz"
HOSTILE = "\"'><img src=x onerror=window.hacked=1><script>window.hacked=1</script>"

# The least WCAG asks for, and what else a reader may have.
WIDTHS = (320, 640, 1200)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxProcess) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("hosted")
    url = f"sqlite:///{directory / 'connector.db'}"
    upgrade(url)
    with (
        running_valkey(directory) as valkey,
        running_service(directory, url, valkey, sandbox, sync_wait_seconds="2") as service,
    ):
        yield service


class _Shop(BaseHTTPRequestHandler):
    """The product that somebody comes from and goes back to."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Shop</title><p>Welcome back")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shop) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@dataclass
class Links:
    """A workspace that makes links, and what it can see of them."""

    service: Service
    tenant: Tenant
    client: httpx.Client

    def make(self, **members: str) -> dict[str, Any]:
        body = {"platform": "bluesky", "external_user_id": "user-42", **members}
        answer = self.client.post("/v1/connect/sessions", json=body)
        assert answer.status_code == 201
        made: dict[str, Any] = answer.json()["data"]
        return made

    def status(self, session: dict[str, Any]) -> str:
        return str(self.client.get(f"/v1/connect/sessions/{session['id']}").json()["data"]["status"])

    def brand(self, **columns: str) -> None:
        """Also as no version of the API would let it."""
        values = {f"branding_{name}": value for name, value in columns.items()}
        with self.service.database.write() as connection:
            connection.execute(update(profiles).where(profiles.c.id == self.tenant.profile_ids[0]).values(values))


@pytest.fixture
def links(service: Service, shop: str) -> Links:
    tenant = service.tenant()
    client = service.client(tenant)
    assert client.patch("/v1/workspace", json={"return_urls": [f"{shop}/"]}).is_success
    return Links(service, tenant, client)


_handles = iter(range(1, 1_000_000))


@pytest.fixture
def account(sandbox: SandboxProcess) -> SandboxAccount:
    return sandbox.control.create_account(f"person{next(_handles)}.test", app_password=PASSWORD)


def fill_in(page: Page, handle: str, password: str) -> None:
    for field, text in (("#handle", handle), ("#app_password", password)):
        page.click(field)
        page.evaluate("document.activeElement.select()")
        page.type(text)


def send(page: Page) -> None:
    page.click("button")


def test_a_wrong_password_then_the_right_one(page: Page, links: Links, account: SandboxAccount) -> None:
    session = links.make()
    page.open(session["url"])

    fill_in(page, account.handle, "wrong-pass-word-2345")
    send(page)

    page.wait_for("Bluesky did not accept this handle with this app password")
    assert page.evaluate("document.activeElement.id") == "problem"
    assert page.evaluate("document.title").startswith("Error: ")
    assert page.evaluate("document.querySelector('#handle').value") == account.handle
    assert page.evaluate("document.querySelector('#app_password').value") == ""
    assert "wrong-pass-word" not in page.evaluate("document.documentElement.outerHTML")
    assert links.status(session) == "pending"

    fill_in(page, account.handle, PASSWORD)
    send(page)

    page.wait_for(f"{account.handle} is connected")
    assert links.status(session) == "completed"
    assert page.evaluate("location.href") == session["url"]


def test_it_leads_back_and_says_what_has_come_of_it(
    page: Page, links: Links, account: SandboxAccount, shop: str
) -> None:
    session = links.make(return_url=f"{shop}/accounts?tab=social")
    page.open(session["url"])

    fill_in(page, f"@{account.handle} ", PASSWORD)
    send(page)

    page.wait_for("Welcome back")
    url = urlsplit(page.evaluate("location.href"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{shop}/accounts"
    assert parse_qs(url.query) == {
        "tab": ["social"],
        "connect_session_id": [session["id"]],
        "status": ["completed"],
    }
    assert page.evaluate("document.referrer") == ""


def test_without_script_and_with_the_keyboard_alone(page: Page, links: Links, account: SandboxAccount) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(links.make()["url"])

    reached = []
    for text in (account.handle, "wrong-pass-word-2345"):
        page.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        page.type(text)
    page.press("Enter")
    page.wait_for("Bluesky did not accept")
    page.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#app_password"
    page.press("Enter")
    page.wait("document.activeElement.id === 'app_password'")
    page.type(PASSWORD)
    page.press("Enter")

    page.wait_for(f"{account.handle} is connected")
    assert reached == ["handle", "app_password"]


def test_a_form_that_is_sent_empty(page: Page, links: Links) -> None:
    session = links.make()
    page.open(session["url"])

    send(page)

    page.wait_for("Enter your handle.")
    page.wait_for("Enter an app password.")
    described = (
        "document.getElementById(document.querySelector('#handle').getAttribute('aria-describedby').split(' ')[0])"
    )
    assert "Enter your handle." in page.evaluate(f"{described}.textContent")
    assert page.evaluate("document.querySelectorAll('[aria-invalid=true]').length") == 2


def test_a_slow_server_is_waited_for(
    page: Page, links: Links, account: SandboxAccount, sandbox: SandboxProcess
) -> None:
    sandbox.control.order(Delay(after=5, method=LOGIN, account=account.did, times=1))
    session = links.make()
    page.open(session["url"])

    fill_in(page, account.handle, PASSWORD)
    send(page)

    page.wait_for("Connecting your account")
    page.open(session["url"])  # as somebody does who grows impatient
    page.wait_for(f"{account.handle} is connected")
    assert sandbox.control.count(LOGIN, identifier=account.did) == 1


def test_the_log_names_neither_link_nor_password(
    page: Page, links: Links, account: SandboxAccount, service: Service
) -> None:
    session = links.make()
    page.open(session["url"])

    fill_in(page, account.handle, PASSWORD)
    send(page)

    page.wait_for("is connected")
    log = service.log.read_text()
    assert "connect_accepted" in log
    assert session["url"].rpartition("/")[2] not in log
    assert PASSWORD not in log


def test_an_account_that_is_connected_already(page: Page, links: Links, account: SandboxAccount) -> None:
    credentials = {"handle": account.handle, "app_password": PASSWORD}
    links.client.post("/v1/accounts/connect", json={"platform": "bluesky", "credentials": credentials})
    session = links.make()
    page.open(session["url"])

    fill_in(page, account.handle, PASSWORD)
    send(page)

    page.wait_for("This account is connected already")
    assert links.status(session) == "pending"


def test_another_sites_form_is_not_taken(page: Page, links: Links, account: SandboxAccount, shop: str) -> None:
    session = links.make()
    page.open(session["url"])
    token = page.evaluate("document.querySelector('[name=token]').value")
    page.open(f"{shop}/")

    page.evaluate(
        f"""(() => {{
            const form = document.createElement("form");
            Object.assign(form, {{ method: "post", action: {session["url"]!r} }});
            for (const [name, value] of Object.entries({{
                token: {token!r}, handle: {account.handle!r}, app_password: {PASSWORD!r} }}))
                form.append(Object.assign(document.createElement("input"), {{ name, value }}));
            document.body.append(form);
            form.submit();
        }})()"""
    )

    page.wait_for("We could not tell that this form was sent by you")
    assert links.status(session) == "pending"


def test_a_link_that_is_followed_twice_leaves_the_first_tab_alone(page: Page, links: Links) -> None:
    """From another site, which the browser tells nothing that is of the same site alone."""
    session = links.make()
    tokens = []
    for _ in range(2):
        page.open(f"data:text/html,<a href={session['url']}>Connect</a>")
        page.click("a")
        page.wait("document.querySelector('[name=token]') !== null")
        tokens.append(page.evaluate("document.querySelector('[name=token]').value"))

    assert tokens[0] == tokens[1]


def test_names_from_strangers_stay_text(page: Page, links: Links) -> None:
    links.brand(display_name=HOSTILE, primary_color="#00ff00", logo_url=f"https://cdn.test/{HOSTILE}")
    page.open(links.make()["url"])

    fill_in(page, HOSTILE, PASSWORD)
    send(page)

    page.wait_for("This is not a handle")
    assert HOSTILE in page.text
    assert page.evaluate("document.querySelector('#handle').value") == ""
    assert page.evaluate("window.hacked") is None


PIXEL = base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"><rect width="120" height="40" fill="#0a7"/></svg>'
).decode()


def test_a_logo_is_shown(page: Page, links: Links) -> None:
    links.brand(logo_url="https://cdn.test/logo.svg", display_name="Shop & Söhne")
    page.call("Fetch.enable", patterns=[{"urlPattern": "https://cdn.test/*"}])
    page.call("Page.navigate", url=links.make()["url"])
    wait_until(lambda: page.events("Fetch.requestPaused"), what="the request for the logo", seconds=20)

    (request,) = page.events("Fetch.requestPaused")
    page.call(
        "Fetch.fulfillRequest",
        requestId=request["requestId"],
        responseCode=200,
        responseHeaders=[{"name": "Content-Type", "value": "image/svg+xml"}],
        body=PIXEL,
    )

    page.wait("document.querySelector('.brand img').naturalWidth === 120")
    assert "Referer" not in request["request"]["headers"]


@pytest.mark.parametrize("color", ["", "#ffe14d", "#0b0b0b", "#767676"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_can_be_read(page: Page, links: Links, scheme: str, color: str) -> None:
    links.brand(display_name="Northwind Social", primary_color=color)
    session = links.make()
    for width in WIDTHS:
        page.emulate(width=width, scheme=scheme)
        page.open(session["url"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert faint_texts(page, "body *") == []

    send(page)
    page.wait_for("Enter your handle.")
    for width in WIDTHS:
        page.emulate(width=width, scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert faint_texts(page, "body *") == []


def test_it_can_be_enlarged(page: Page, links: Links) -> None:
    """Text twice as large on the screen of a phone. (WCAG 2.2, 1.4.4.)"""
    page.emulate(width=360)
    page.open(links.make()["url"])

    page.evaluate(
        "document.documentElement.style.fontSize = '200%'",
    )

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelector('button').getBoundingClientRect().right") <= 360


def test_what_has_the_focus_is_seen(page: Page, links: Links) -> None:
    page.open(links.make()["url"])

    seen = []
    for _ in range(4):
        page.press("Tab")
        seen.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))

    assert seen == ["solid"] * 4
