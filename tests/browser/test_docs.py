"""The documentation page before the API that it documents, in a browser that cannot reach anything else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api_shim.introduction import TAGS
from tests.browser.chromium import Page
from tests.browser.contrast import faint_texts
from tests.integration.api_shim.server import Server, running
from tests.servers import Valkey

CONNECT = "#operations-accounts-connect_account"


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Server]:
    with running(valkey, tmp_path, migrated_sqlite) as server:
        yield server


def open_docs(page: Page, server: Server, anchor: str = "") -> None:
    page.open(f"http://127.0.0.1:{server.port}/docs{anchor}")
    page.wait("document.querySelectorAll('.opblock').length > 0")


def operation_ids(server: Server) -> set[str]:
    document = httpx.get(f"http://127.0.0.1:{server.port}/openapi.json").json()
    return {operation["operationId"] for item in document["paths"].values() for operation in item.values()}


def test_it_shows_every_operation_and_asks_nobody_else(page: Page, server: Server) -> None:
    open_docs(page, server)

    shown = page.evaluate("[...document.querySelectorAll('.opblock')].map((it) => it.id)")
    assert {name.split("-", 2)[2] for name in shown} == operation_ids(server)
    headings = page.evaluate("[...document.querySelectorAll('.opblock-tag')].map((it) => it.dataset.tag)")
    assert headings == [tag["name"] for tag in TAGS]
    for name in shown:
        page.evaluate(f"document.querySelector('#{name} .opblock-summary-control').click()")
        page.wait(f"document.querySelector('#{name} .responses-table') !== null")
        page.evaluate(f"document.querySelector('#{name} .opblock-summary-control').click()")  # many at once are slow
    asked = [event["request"]["url"] for event in page.events("Network.requestWillBeSent")]
    assert len(asked) >= 5
    assert [url for url in asked if not url.startswith((f"http://127.0.0.1:{server.port}/", "data:"))] == []
    assert page.events("Network.loadingFailed") == []


def test_a_connect_is_tried_out_with_a_key(page: Page, server: Server) -> None:
    open_docs(page, server)

    page.click(".auth-wrapper .authorize")
    page.wait("document.querySelector('.modal-ux input') !== null")
    page.click(".modal-ux input")
    page.type(server.tenant.key)
    page.click(".modal-ux .auth-btn-wrapper .authorize")
    page.wait_for("Authorized", within=".modal-ux")
    page.click(".modal-ux .btn-done")
    page.click(f"{CONNECT} .opblock-summary-control")
    page.wait(f"document.querySelector('{CONNECT} .try-out__btn') !== null")
    page.click(f"{CONNECT} .try-out__btn")
    page.wait(f"document.querySelector('{CONNECT} .execute') !== null")
    page.click(f"{CONNECT} .execute")
    server.worker.succeed(server.task_id())
    page.wait(f"document.querySelector('{CONNECT} .live-responses-table .response-col_status') !== null")

    assert page.evaluate(f"document.querySelector('{CONNECT} tr.response .response-col_status').innerText") == "201"
    answered = page.evaluate(f"document.querySelector('{CONNECT} .live-responses-table').innerText")
    assert '"connection_type": "byo"' in answered
    assert "x-request-id" in answered
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_the_screen_and_the_readers_taste(page: Page, server: Server, width: int, scheme: str) -> None:
    page.emulate(width=width, scheme=scheme)
    open_docs(page, server)

    page.evaluate("document.querySelector('#operations-tasks-get_connect_task .opblock-summary-control').click()")
    page.wait_for("The task as it stands", within="#docs")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faint_texts(page, "#docs :not(code *)") == []
    assert page.evaluate("document.documentElement.classList.contains('dark-mode')") == (scheme == "dark")


def test_the_address_of_an_operation_opens_it(page: Page, server: Server) -> None:
    open_docs(page, server, "#/batches/create_connect_batch")

    page.wait_for("CSV", within="#operations-batches-create_connect_batch")
