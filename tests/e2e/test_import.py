"""`connector import` and the whole service: a file in, a file of outcomes out."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx

from sandbox.client import SandboxAccount
from sandbox.process import SandboxProcess
from tests.e2e.conftest import new_account
from tests.e2e.stack import Service, body
from tests.factories import Tenant
from tests.processes import ROOT


def test_a_file_of_twenty(
    service: Service, tenant: Tenant, client: httpx.Client, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    people = [new_account(sandbox) for _ in range(17)]
    *good, wrong, known = people
    assert client.post("/v1/accounts/connect", json=body(known.handle, known.app_password)).status_code == 201
    rows = [
        *map(credentials, good),
        (wrong.handle, "zzzz-zzzz-zzzz-zzzz"),
        credentials(known),
        ("nobody-of-that-name.test", "abcd-efgh-2345-wxyz"),
        ("no handle at all", "abcd-efgh-2345-wxyz"),
        (good[0].handle.upper(), good[0].app_password),
    ]
    file = tmp_path / "accounts.csv"
    lines = [f"{password};{number};{handle}\r\n" for number, (handle, password) in enumerate(rows, 1)]
    file.write_text("".join(["app_password;external_ref;handle\r\n", *lines]), newline="")

    finished = subprocess.run(
        [sys.executable, "-m", "cli", "import", str(file), "--json"],
        cwd=ROOT,
        env={**os.environ, "CONNECTOR_URL": service.url, "UNIPOST_API_KEY": tenant.key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert finished.returncode == 2, finished.stderr
    outcome = json.loads(finished.stdout)
    assert outcome["counts"] == {"connected": 15, "already_connected": 1, "failed": 2, "rejected": 2}
    assert outcome["causes"] == {"unauthorized": 1, "handle_not_found": 1, "invalid_handle": 1, "duplicate_row": 1}
    with (tmp_path / "accounts.results.csv").open(newline="") as stream:
        results = list(csv.DictReader(stream))
    assert [(row["external_ref"], row["handle"]) for row in results] == [
        (str(number), handle) for number, (handle, _) in enumerate(rows, 1)
    ]
    assert [row["account_name"] for row in results[:15]] == [each.handle for each in good]
    assert Counter(bool(row["account_id"]) for row in results) == {True: 16, False: 4}
    for each in (finished.stdout, finished.stderr, (tmp_path / "accounts.results.csv").read_text()):
        assert not {password for _, password in rows} & set(each.replace(",", " ").split())


def credentials(account: SandboxAccount) -> tuple[str, str]:
    return account.handle, account.app_password
