"""`connector doctor` on real servers, well and ill."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from cli.doctor.checks import CHECKS
from cli.doctor.examining import examine
from cli.doctor.findings import Finding
from cli.doctor.subject import Subject
from connections.db import Database
from connections.models import connect_tasks
from connections.service import ConnectService
from connections.settings import Settings, load_settings
from connections.sqltime import from_now
from connections.vault import FileKeyStore, Sealer, WorkerKeys
from sandbox.process import SandboxProcess
from tests.factories import connect_command, make_tenant
from tests.integration.cli.looking import Connector, imitated_worker, new_operator, operator_of
from tests.integration.worker.stack import Stack
from tests.processes import beat_command, frozen, running
from tests.rabbit import Rabbit
from tests.servers import Valkey, free_port, running_valkey, wait_until

# There is neither a network for development here nor, but for one test, another broker than Redis.
NAMES = ["settings", *(check.name for check in CHECKS if not check.name.startswith(("dev ", "broker")))]


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


@pytest.fixture
def well(connector: Connector, valkey: Valkey) -> Iterator[Connector]:
    with imitated_worker(valkey):
        yield connector


def examined(connector: Connector) -> dict[str, dict[str, Any]]:
    """The checks by name; the exit status is as the worst of them demands."""
    result = connector("doctor", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == (1 if told["verdict"] == "fail" else 0)
    assert result.stderr == ""
    return {check.pop("name"): check for check in told["checks"]}


def verdicts(checks: dict[str, dict[str, Any]], *, but: str = "ok") -> dict[str, str]:
    """Those that are not as most are."""
    return {name: check["verdict"] for name, check in checks.items() if check["verdict"] != but}


def test_all_is_well(well: Connector, database: Database, valkey: Valkey) -> None:
    result = well("doctor")
    assert (result.exit_code, result.stderr) == (0, "")

    *checks, empty, last = result.stdout.splitlines()
    assert (empty, last) == ("", "All is well.")
    assert [line[6:22].strip() for line in checks] == NAMES
    assert {line[:6].strip() for line in checks} == {"ok"}
    assert {"sqlite": "SQLite", "postgresql": "Postgres"}[database.engine.dialect.name] in result.stdout
    assert "1 worker, 64 threads, 0 messages unread" in result.stdout
    assert f"127.0.0.1:{valkey.port}/0" in result.stdout


def test_figures_for_monitors(well: Connector) -> None:
    checks = examined(well)
    assert verdicts(checks) == {}
    assert 0 < checks["database"]["facts"]["round_trip_seconds"] < 1
    assert checks["database"]["facts"]["bytes"] > 10_000
    assert checks["redis"]["facts"]["policy"] == "noeviction"
    assert checks["workers"]["facts"] == {"workers": 1, "threads": 64, "messages": 0}
    assert checks["directory"]["facts"]["status"] == checks["hosted service"]["facts"]["status"] == 200
    assert checks["keys"]["facts"] == {"keys": ["s1", "t1"]}


def test_no_worker_and_no_beat(connector: Connector) -> None:
    checks = examined(connector)
    assert verdicts(checks) == {"workers": "fail", "beat": "skipped"}
    assert checks["workers"]["advice"] == "start `connector worker`"


def test_a_worker_and_no_beat(connector: Connector, valkey: Valkey) -> None:
    with imitated_worker(valkey, ticks=False):
        checks = examined(connector)
    assert verdicts(checks) == {"beat": "fail"}
    assert checks["beat"]["advice"] == "start `connector beat`"


def test_redis_is_down(well: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_REDIS_URL", f"redis://:s3cret@127.0.0.1:{free_port()}/0")
    checks = examined(well)
    assert verdicts(checks) == {"redis": "fail", "workers": "skipped", "beat": "skipped", "redis clock": "skipped"}
    assert checks["redis"]["found"] == "nothing listens there"
    assert "s3cret" not in well("doctor").output


def test_redis_hangs(well: Connector, valkey: Valkey) -> None:
    with frozen(valkey.pid):
        checks = examined(well)
    assert checks["redis"]["found"] == "it does not answer in time"


def test_redis_wants_a_password(well: Connector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_valkey(tmp_path, password="s3cret") as guarded:
        monkeypatch.setenv("CONNECTOR_REDIS_URL", guarded.url.replace("s3cret", "wr0ng"))
        refused = well("doctor")
        monkeypatch.setenv("CONNECTOR_REDIS_URL", guarded.url.replace(":s3cret@", ""))
        unasked = well("doctor")
        monkeypatch.setenv("CONNECTOR_REDIS_URL", guarded.url)
        taken = well("doctor")
    assert "it refuses the password" in refused.stdout
    assert "it refuses the password" in unasked.stdout
    assert "noeviction" in taken.stdout
    assert "wr0ng" not in refused.output
    assert "s3cret" not in taken.output


def test_redis_may_forget(well: Connector, valkey: Valkey) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            checks = examined(well)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert verdicts(checks) == {"redis": "warn"}


def test_nobody_says_where_redis_is(well: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_REDIS_URL", "")
    assert examined(well)["redis"]["found"].startswith("CONNECTOR_REDIS_URL is not set")


def test_the_database_is_away(well: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"postgresql://bob:s3cret@127.0.0.1:{free_port()}/connector")
    checks = examined(well)
    assert checks["database"]["found"] == "nothing listens there"
    skipped = {"tables", "beat", "rows", "database clock", "stored secrets"}
    assert verdicts(checks) == {"database": "fail"} | dict.fromkeys(skipped, "skipped")
    assert "s3cret" not in well("doctor").output


def test_a_database_that_says_nothing(well: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/connector"
        monkeypatch.setenv("CONNECTOR_DATABASE_URL", url)
        checks = examined(well)
    assert checks["database"]["verdict"] == "fail"
    assert checks["disk"]["verdict"] == "ok"


def test_a_database_that_was_never_made(well: Connector, monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", postgres_url.replace("/test_", "/no_"))
    assert examined(well)["database"]["found"] == "there is no such database or user"


def test_there_is_no_database_yet(well: Connector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", f"sqlite:///{path}")
    checks = examined(well)
    assert checks["database"]["found"] == f"there is no {path}"
    assert not path.exists()


@pytest.mark.parametrize(("revision", "advice"), [("0006", "run `connector migrate`"), ("9999", "that version")])
def test_tables_of_another_version(well: Connector, database: Database, revision: str, advice: str) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    checks = examined(well)
    assert verdicts(checks) == {"tables": "fail"} | dict.fromkeys(["beat", "rows", "stored secrets"], "skipped")
    assert advice in checks["tables"]["advice"]


def accept(settings: Settings, database: Database, name: str) -> str:
    service = ConnectService(database, Sealer(FileKeyStore(settings).load_excerpt()), settings)
    caller = make_tenant(database).caller
    return service.accept(caller, connect_command(name), request_id="r", reply_to="s", wait=0).task_id


def test_rows_that_nobody_sweeps(well: Connector, database: Database) -> None:
    accept(load_settings(), database, "alice.test")
    assert verdicts(examined(well)) == {}

    with database.write() as connection:
        connection.execute(update(connect_tasks).values(sweep_at=from_now(-60), created_at=from_now(-7200)))
    checks = examined(well)

    assert verdicts(checks) == {"beat": "warn", "rows": "warn"}
    assert checks["beat"]["found"] == "ticks arrive, but a row is due for 60 s"
    assert checks["rows"]["found"] == "1 in flight, the oldest for 2 h (connect, queued)"


def test_rows_that_need_a_key_that_is_lost(well: Connector, database: Database) -> None:
    settings = load_settings()
    accept(settings, database, "alice.test")
    with database.write() as connection:
        connection.execute(update(connect_tasks).values(sealing_key="s9"))
    checks = examined(well)
    assert verdicts(checks) == {"stored secrets": "fail"}
    assert checks["stored secrets"]["facts"] == {"lost": ["s9"]}


def test_an_excerpt_of_another_ring(well: Connector) -> None:
    store = FileKeyStore(load_settings())
    store.save_excerpt(WorkerKeys.generate(load_settings().env).for_shim())
    assert verdicts(examined(well)) == {"keys": "fail", "stored secrets": "skipped"}


def test_a_ring_that_is_damaged(well: Connector) -> None:
    path = load_settings().worker_keys_path
    path.write_text('{"sealing": "s3cret"}')
    result = well("doctor")
    assert f"CONNECTOR_KEYS_FILE: {path} is not a key file of this kind" in result.stdout
    assert "s3cret" not in result.output


def test_no_key_is_ever_shown(well: Connector) -> None:
    printed = well("doctor").output + well("doctor", "--json").output
    ring = json.loads(FileKeyStore(load_settings()).load_ring().to_json())
    assert not [key for kind in ("sealing", "tokens") for key in ring[kind] if key["key"] in printed]
    assert ring["fingerprint"] not in printed


def test_nameservers_that_say_nothing(well: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CONNECTOR_DNS_SERVERS", f"127.0.0.1:{silent.getsockname()[1]}")
        checks = examined(well)
    assert verdicts(checks) == {"dns": "fail"}
    assert "CONNECTOR_DNS_SERVERS" in checks["dns"]["advice"]


def test_the_network_is_away(well: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    for name in ("PLC_URL", "BLUESKY_URL", "DEV_PDS_URL", "DEV_PLC_URL"):
        monkeypatch.setenv(f"CONNECTOR_{name}", nowhere)
    checks = examined(well)
    hosts = ["directory", "hosted service", "dev directory", "dev PDS"]
    assert verdicts(checks) == dict.fromkeys(hosts, "fail")
    assert {checks[name]["found"] for name in hosts} == {"no address of 127.0.0.1 accepts a connection"}


def test_a_wrong_setting_is_all_there_is_to_say(well: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", "mysql://root:s3cret@db/x")
    checks = examined(well)
    assert list(checks) == ["settings"]
    assert checks["settings"]["found"] == "CONNECTOR_DATABASE_URL: must start with postgresql:// or sqlite:///"


def look(**injected: Any) -> dict[str, Finding]:
    subject = Subject(load_settings(), **injected)
    try:
        return dict(examine(subject, CHECKS))
    finally:
        subject.close()


@pytest.mark.parametrize(("behind", "verdict"), [(3, "ok"), (30, "warn"), (300, "fail")])
def test_a_clock_that_is_wrong(well: Connector, behind: int, verdict: str) -> None:
    found = look(clock=lambda: datetime.now(UTC) - timedelta(seconds=behind))
    for name in ("database clock", "redis clock"):
        assert found[name].verdict == verdict
        assert found[name].facts["ahead_seconds"] == pytest.approx(behind, abs=1)


def test_a_disk_that_is_full(well: Connector, tmp_path: Path) -> None:
    asked: list[Path] = []

    def free_bytes(folder: Path) -> int:
        asked.append(folder)
        return 20_000_000

    disk = look(free_bytes=free_bytes)["disk"]
    assert (disk.verdict, disk.found) == ("fail", f"20 MB free in {tmp_path / 'var'}")
    assert asked == [tmp_path / "var"]


@contextmanager
def running_stack(valkey: Valkey, database_url: str, directory: Path) -> Iterator[Stack]:
    stack = Stack(valkey, database_url, directory)
    yield stack
    stack.database.close()


def test_beat_and_a_worker_that_live(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess
) -> None:
    """The trace that the doctor goes by is theirs."""
    with running_valkey(tmp_path) as own, running_stack(own, sqlite_url, tmp_path) as stack:
        connector = operator_of(
            monkeypatch, var_dir=tmp_path / "var", database_url=sqlite_url, valkey=own, sandbox=sandbox
        )

        def beat() -> str:
            return str(examined(connector)["beat"]["verdict"])

        with stack.worker():
            assert beat() == "fail"
            with running(beat_command(), environment=stack.environment, log=stack.log):
                wait_until(lambda: beat() == "ok", what="beat's ticks")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_rabbitmq(connector: Connector, valkey: Valkey, rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_BROKER_URL", rabbit.url)
    with imitated_worker(valkey):
        broker = examined(connector)["broker"]
        assert broker["verdict"] == "ok"
        assert "secret" not in broker["found"]

        rabbit.stop()
        broker = examined(connector)["broker"]
        assert (broker["verdict"], broker["found"]) == ("fail", "nothing listens there")
