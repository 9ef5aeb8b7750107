"""The keys are exchanged while accounts are connected: nobody notices, and the old keys are gone."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
from sqlalchemy import select

from connections.models import HAS_TOKENS, accounts
from connections.settings import Settings
from connections.vault import Cell, FileKeyStore, TokenCipher
from sandbox.client import SandboxAccount
from sandbox.faults import Delay
from sandbox.process import SandboxProcess
from tests.e2e.conftest import new_account
from tests.e2e.stack import Service, body
from tests.processes import ROOT

CONNECT = "/v1/accounts/connect"
LOGIN = "com.atproto.server.createSession"
GRACE_SECONDS = 3  # processes look for new keys every second
CALLERS = 4


def keys(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`connector keys …` as an operator types it."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "keys", *arguments],
        cwd=ROOT,
        env={"CONNECTOR_VAR_DIR": str(settings.var_dir), "CONNECTOR_DATABASE_URL": settings.database_url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def connect(client: httpx.Client, account: SandboxAccount) -> int:
    return client.post(CONNECT, json=body(account.handle, account.app_password)).status_code


def test_connects_go_on_while_the_keys_rotate(any_service: Service, sandbox: SandboxProcess) -> None:
    url = any_service.database.engine.url.render_as_string(hide_password=False)
    settings = Settings(var_dir=any_service.log.parent / "var", database_url=url)
    client = any_service.client(any_service.tenant())
    store = FileKeyStore(settings)
    before = store.load_ring()
    slow = new_account(sandbox)
    sandbox.control.order(Delay(after=5, method=LOGIN, account=slow.did, times=1))
    is_over = threading.Event()

    def connect_until_over() -> list[int]:
        statuses = []
        while not is_over.is_set():
            statuses.append(connect(client, new_account(sandbox)))
        return statuses

    with ThreadPoolExecutor(CALLERS + 1) as threads:
        first = [connect(client, new_account(sandbox)) for _ in range(10)]
        in_flight = threads.submit(connect, client, slow)  # its credentials need the old key until it ends
        load = [threads.submit(connect_until_over) for _ in range(CALLERS)]
        try:
            rotated = keys(settings, "rotate", "--wait", "--grace", str(GRACE_SECONDS))
        finally:
            is_over.set()
        during = [status for each in load for status in each.result(60)]

    assert (rotated.returncode, rotated.stderr) == (0, ""), rotated
    assert [*first, in_flight.result()] == [201] * 11
    assert set(during) == {201}
    assert len(during) > 2 * CALLERS

    after = store.load_ring()
    assert len(after.ids) == 2
    assert not {*after.ids} & {*before.ids}
    assert store.load_excerpt().sealing.id == after.sealing[0].id
    assert keys(settings, "status").returncode == 0

    cipher = TokenCipher(after)
    with any_service.database.read() as connection:
        rows = connection.execute(select(accounts).where(HAS_TOKENS)).all()
    assert len(rows) >= len(first) + len(during) + 1
    for row in rows:
        assert cipher.decrypt(row.access_token, Cell(row.id, "access_token")).count(".") == 2  # a JWT
        assert cipher.decrypt(row.refresh_token, Cell(row.id, "refresh_token")).count(".") == 2

    log = any_service.log.read_text()
    assert log.count("keys_reloaded") >= 2  # in the API and in the worker
    for bad in ("UnreadableSecret", "KeyNotHeld", "key_not_held", "connect_crashed", "keys_not_reloaded"):
        assert bad not in log
