"""The page before the API it was made for: a file comes in, a worker settles its rows, the reader sees it happen."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from connections.errors import HandleNotFound
from tests.browser.chromium import Page
from tests.integration.api_shim.server import Server, running
from tests.servers import Valkey, wait_until

HOSTILE = "<img src=x onerror=window.hacked=1>"

ROWS = f"""external_ref,handle,app_password
first,a.bsky.social,canary-password
second,b.bsky.social,canary-password
{HOSTILE},c.bsky.social,canary-password
fourth,not a handle,canary-password
"""


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Server]:
    with running(valkey, tmp_path, migrated_sqlite) as server:
        yield server


def test_a_file_from_its_arrival_to_its_results(page: Page, server: Server) -> None:
    batch = server.client.post("/v1/connect/batches", content=ROWS, headers={"Content-Type": "text/csv"}).json()["data"]
    results = server.client.get(f"/v1/connect/batches/{batch['id']}/results").json()["data"]
    first, second, third, _ = (row["task_id"] for row in results)
    page.open(f"http://127.0.0.1:{server.port}/batches/{batch['id']}")

    page.type(server.tenant.key)
    page.press("Enter")
    page.wait_for("1 of 4 rows done")
    page.wait_for("fourth")
    server.worker.succeed(first)
    page.wait_for("2 of 4 rows done")
    server.worker.fail(third, HandleNotFound())
    page.wait_for("No account has this handle", within="#causes")
    page.click("#renew")
    page.wait_for(HOSTILE, within="#failure-rows")
    page.click("#cancel")
    page.wait("document.querySelector('dialog').open")
    page.click("#stop")
    page.wait_for("This batch was canceled")
    page.click("#csv")

    file = page.downloads / f"{batch['id']}.csv"
    wait_until(lambda: file.exists() and file.stat().st_size, what="the file")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        statuses = [row["status"] for row in csv.DictReader(lines)]
    assert statuses == ["connected", "canceled", "failed", "rejected"]
    assert page.evaluate("window.hacked") is None
    assert server.client.get(f"/v1/connect/tasks/{second}").json()["data"]["error"]["code"] == "CANCELED"
