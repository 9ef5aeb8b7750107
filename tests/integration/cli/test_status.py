"""`connector status` on real servers: once, as JSON, and live in a terminal."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from connections.contract import TaskStatus
from connections.db import Database
from connections.models import connect_tasks
from connections.service import ConnectService
from connections.settings import load_settings
from connections.sqltime import from_now
from connections.vault import FileKeyStore, Sealer
from sandbox.process import SandboxProcess
from tests.factories import connect_command, make_batch, make_tenant
from tests.integration.cli.connector import running_connector
from tests.integration.cli.looking import Connector, imitated_worker, new_operator
from tests.processes import ROOT
from tests.servers import Valkey, free_port, wait_until
from worker.hosts import host_classes
from worker.pacing import Pacer
from worker.redis_client import redis_client


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
def connector(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, valkey: Valkey, sandbox: SandboxProcess
) -> Connector:
    return new_operator(
        monkeypatch, var_dir=tmp_path / "var", database_url=database_url, valkey=valkey, sandbox=sandbox
    )


def seen(connector: Connector) -> dict[str, Any]:
    result = connector("status", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_an_idle_service(connector: Connector, valkey: Valkey) -> None:
    with imitated_worker(valkey, threads=64):
        told = seen(connector)
    hosts = host_classes(load_settings()).keys()

    assert told["in_flight"] == told["batches"] == []
    assert told["messages"] == {"connect": 0, "connect.bulk": 0, "connect.control": 0, "connect.upkeep": 0}
    assert told["workers"] == {"count": 1, "threads": 64, "free": 64}
    assert {host["host"] for host in told["hosts"]} == hosts
    assert {host["budget"]["next_turn_seconds"] for host in told["hosts"]} == {0.0}
    assert told["ended_in_the_last_minute"] == {}
    assert told["redis"] is None


def test_a_service_at_work(connector: Connector, valkey: Valkey, database: Database) -> None:
    settings = load_settings()
    sealer = Sealer(FileKeyStore(settings).load_excerpt())
    tenant = make_tenant(database)
    service = ConnectService(database, sealer, settings)
    service.accept(tenant.caller, connect_command(), request_id="r", reply_to="s", wait=25)
    batch = make_batch(database, tenant, [f"person{number}.test" for number in range(5)], sealer)
    ended = {"status": TaskStatus.FAILED, "cause": "handle_not_found", "dispatch_at": None, "finished_at": from_now()}
    with database.write() as connection:
        rows = update(connect_tasks).where(connect_tasks.c.id.in_(batch.task_ids[:2]))
        connection.execute(rows.values(ended))
        rows = update(connect_tasks).where(connect_tasks.c.id.in_(batch.task_ids[2:4]))
        connection.execute(rows.values(lane="pds.example", created_at=from_now(-600)))
    with valkey.client() as client:
        client.lpush("connect", "a message")

    told = seen(connector)

    assert [(one["queue"], one["status"], one["rows"]) for one in sorted(told["in_flight"], key=str)] == [
        ("connect", "queued", 1),
        ("connect.bulk", "queued", 3),
    ]
    assert max(one["oldest_seconds"] for one in told["in_flight"]) == pytest.approx(600, abs=30)
    assert told["messages"]["connect"] == 1
    assert [(one["host"], one["waiting"], one["due"]) for one in told["hosts"][:2]] == [
        ("pds.example", 2, 2),
        ("", 1, 1),
    ]
    [running] = told["batches"]
    assert (running["id"], running["total"]) == (batch.id, 5)
    assert (running["counts"]["queued"], running["counts"]["failed"]) == (3, 2)
    assert running["causes"] == {"handle_not_found": 2}
    assert told["ended_in_the_last_minute"] == {"handle_not_found": 2}

    picture = connector("status").stdout
    assert batch.id in picture
    assert "2 of 5 rows, 40 %" in picture
    assert "handle_not_found 2" in picture
    assert max(map(len, picture.splitlines())) <= 80
    assert batch.id in connector("status", "--once").stdout


def test_a_budget_that_is_used_up(connector: Connector, valkey: Valkey) -> None:
    settings = load_settings()
    [host] = [host for host in host_classes(settings) if host in settings.bluesky_url]
    client = redis_client(valkey.url)
    pacer = Pacer(
        client,
        budget=settings.host_budget,
        interactive_share=settings.interactive_share,
        egress_address=settings.egress_address,
    )
    pacer.learn(host, "POST", 429, {"retry-after": "40"}, 0.1)
    client.close()

    budgets = {one["host"]: one["budget"] for one in seen(connector)["hosts"]}

    assert budgets[host]["next_turn_seconds"] == pytest.approx(40, abs=5)
    assert budgets[host]["next_minute"] < 300


def test_without_redis(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_REDIS_URL", f"redis://:s3cret@127.0.0.1:{free_port()}/0")
    told = seen(connector)
    assert told["redis"] == "nothing listens there"
    assert told["messages"] is told["workers"] is None

    picture = connector("status", "--once")
    assert picture.exit_code == 0
    assert "Redis: nothing listens there" in picture.stdout
    assert "s3cret" not in picture.output


def test_without_a_database(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"postgresql://bob:s3cret@127.0.0.1:{free_port()}/connector")
    result = connector("status", "--once")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "connector: the database does not answer; check CONNECTOR_DATABASE_URL\n"


class Screen:
    """A terminal of 80 columns and what it has been shown."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self._descriptor = descriptor
        self._shown = ""
        self.process = process

    def shows(self, text: str) -> bool:
        self._shown += os.read(self._descriptor, 65_536).decode(errors="replace")
        return text in self._shown


@contextmanager
def terminal(*arguments: str) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "LINES": "30", "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_terminal_sees_what_changes(connector: Connector, valkey: Valkey) -> None:
    with terminal("status") as screen:
        wait_until(lambda: screen.shows("No worker is alive"), what="a first picture")
        with imitated_worker(valkey, threads=17):
            wait_until(lambda: screen.shows("17 threads"), what="the worker in a later picture")

        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(timeout=30) == 0


def test_a_service_with_a_redis_of_its_own_is_found_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it stays behind."""
    note = tmp_path / "var" / "valkey.url"
    with running_connector(tmp_path, "up") as running:
        running.wait_for(f"ready at {running.url}")
        assert note.stat().st_mode & 0o777 == 0o600
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CONNECTOR_VAR_DIR": str(tmp_path / "var")}
        status = subprocess.run(
            [sys.executable, "-m", "cli", "status", "--json"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(status.stdout)["workers"]["count"] == 1
        assert running.signal(signal.SIGTERM) == 0
    assert not note.exists()
