"""While a service is upgraded, and while it is taken back, parts of two versions share tables and messages."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.client import SandboxAccount
from tests.e2e.stack import body
from tests.servers import wait_until
from tests.upgrade.conftest import PASSWORD, Deployment
from tests.upgrade.versions import Version

BOTH = list(Version)


def connect(client: httpx.Client, people: list[SandboxAccount]) -> None:
    """All at once. Each gets the account it asked for."""

    def one(person: SandboxAccount) -> None:
        answer = client.post("/v1/accounts/connect", json=body(person.handle, PASSWORD))
        assert (answer.status_code, answer.json().get("account_name")) == (201, person.handle), answer.text

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(one, person) for person in people]:
            done.result()


def connect_batch(client: httpx.Client, people: list[SandboxAccount]) -> None:
    rows = [{"handle": person.handle, "app_password": PASSWORD} for person in people]
    accepted = client.post("/v1/connect/batches", json={"platform": "bluesky", "items": rows})
    assert accepted.status_code == 202, accepted.text
    where = accepted.headers["location"]

    def batch() -> dict[str, Any]:
        shown: dict[str, Any] = client.get(where).json()["data"]
        return shown

    wait_until(lambda: batch()["status"] == "finished", what="the batch to end", seconds=60)
    assert batch()["counts"]["connected"] == len(people), json.dumps(batch())


@pytest.mark.parametrize("version", BOTH)
def test_each_version_is_itself(roots: dict[Version, Path], version: Version) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import connections; print(connections.__file__)"],
        cwd=roots[version],
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(said.stdout.strip()).is_relative_to(roots[version])


def test_the_old_version_goes_on_with_the_new_tables(deployment: Deployment) -> None:
    old = Version.OLD
    with deployment.part(old, "worker"), deployment.part(old, "beat"), deployment.api(old) as client:
        connect(client, deployment.people(5))
        deployment.run(Version.NEW, "migrate")
        connect(client, deployment.people(5))
        connect_batch(client, deployment.people(20))


@pytest.mark.parametrize("worker", BOTH)
@pytest.mark.parametrize("api", BOTH)
def test_either_worker_performs_what_either_api_accepts(deployment: Deployment, api: Version, worker: Version) -> None:
    deployment.run(Version.NEW, "migrate")
    # The other version's beat, so that nothing here is of one version alone.
    other = Version.NEW if worker is Version.OLD else Version.OLD
    with deployment.part(worker, "worker"), deployment.part(other, "beat"), deployment.api(api) as client:
        connect(client, deployment.people(5))
        connect_batch(client, deployment.people(20))


def test_both_at_work_at_once(deployment: Deployment) -> None:
    """Each takes what comes, also what the other's dispatcher has sent, and everybody is connected once."""
    deployment.run(Version.NEW, "migrate")
    with ExitStack() as parts:
        for version in BOTH:
            parts.enter_context(deployment.part(version, "worker"))
            parts.enter_context(deployment.part(version, "beat"))
        for version in BOTH:
            client = parts.enter_context(deployment.api(version))
            connect(client, deployment.people(16))
            connect_batch(client, deployment.people(48))
        for version in BOTH:
            assert "account_connected" in deployment.log(version, "worker")


def test_accounts_from_before_live_on(deployment: Deployment) -> None:
    """The new version refreshes, reconnects and ends what the old one has connected."""
    old, new = Version.OLD, Version.NEW
    first, second = people = deployment.people(2)
    with deployment.part(old, "worker"), deployment.api(old) as client:
        connect(client, people)
    deployment.run(new, "migrate")
    control = deployment.sandbox.control
    with deployment.part(new, "worker"), deployment.part(new, "beat"), deployment.api(new) as client:
        refreshed = [person.did for person in people]
        wait_until(lambda: all(len(control.refresh_tokens(did)) == 2 for did in refreshed), what="both to be refreshed")
        ids = {one["account_name"]: one["id"] for one in client.get("/v1/accounts").json()["data"]}
        answer = client.post(f"/v1/accounts/{ids[first.handle]}/reconnect", json=body(first.handle, PASSWORD))
        assert (answer.status_code, answer.json().get("id")) == (200, ids[first.handle]), answer.text
        assert client.delete(f"/v1/accounts/{ids[second.handle]}").status_code == 200
        wait_until(lambda: control.refresh_tokens(second.did) == [], what="the end of every session")
