"""`connector keys rotate` and `keys status`, as an operator sees them."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner, Result

from cli.main import app
from connections import rotation
from connections.db import Database
from connections.models import accounts, connect_tasks
from connections.repository.retiring import retire_sessions
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import FileKeyStore, Followed, Opener, Sealer, TokenCipher
from tests.factories import connect_command, make_tenant, verified


class Operator:
    """Types commands, beside a service that has accounts and tasks."""

    def __init__(self, settings: Settings) -> None:
        self._runner = CliRunner()
        assert self("migrate").exit_code == self("keys", "generate").exit_code == 0
        self.store = FileKeyStore(settings)
        self.database = Database(settings.database)
        self.tenant = make_tenant(self.database)
        self.service = ConnectService(self.database, Sealer(Followed(self.store.load_excerpt, every=0)), settings)
        ring = Followed(self.store.load_ring, every=0)
        self.settlement = Settlement(self.database, Opener(ring), TokenCipher(ring), lease_seconds=30)

    def __call__(self, *arguments: str) -> Result:
        return self._runner.invoke(app, arguments, prog_name="connector", catch_exceptions=False)

    def accept(self, name: str) -> str:
        command = connect_command(f"{name}.test")
        return self.service.accept(self.tenant.caller, command, request_id="r", reply_to="s", wait=0).task_id

    def settle(self, task_id: str) -> None:
        task = self.settlement.claim(task_id)
        assert task is not None
        credentials = self.settlement.open_credentials(task)
        assert self.settlement.succeed(task, verified(f"did:plc:{task_id}", credentials.identifier))

    def table(self) -> list[list[str]]:
        """The cells of `keys status`, without its heading and the ages."""
        lines = self("keys", "status").stdout.splitlines()[1:]
        return [[kind, key, rows, state] for kind, key, _, rows, state in (re.split(" {2,}", line) for line in lines)]


@pytest.fixture
def operator(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setenv("CONNECTOR_VAR_DIR", str(settings.var_dir))
    operator = Operator(settings)
    yield operator
    operator.database.close()


def test_keys_are_generated_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_VAR_DIR", str(settings.var_dir))
    ring, excerpt = settings.worker_keys_path, settings.shim_keys_path

    def generate() -> Result:
        return CliRunner().invoke(app, ["keys", "generate"], prog_name="connector", catch_exceptions=False)

    for_ring, for_excerpt = f"{ring}  for workers: opens everything", f"{excerpt}  for the API: seals, opens nothing"
    kept = "; was there and is not replaced"
    first = generate()
    assert (first.exit_code, first.output) == (0, f"{for_ring}\n{for_excerpt}\n")
    before = [ring.read_bytes(), excerpt.read_bytes()]

    again = generate()
    assert (again.exit_code, again.output) == (0, f"{for_ring}{kept}\n{for_excerpt}{kept}\n")
    assert [ring.read_bytes(), excerpt.read_bytes()] == before

    excerpt.unlink()
    repaired = generate()
    assert (repaired.exit_code, repaired.output) == (0, f"{for_ring}{kept}\n{for_excerpt}\n")
    assert ring.read_bytes() == before[0]

    ring.unlink()
    refused = generate()
    assert (refused.exit_code, refused.stdout) == (1, "")
    told = f"{excerpt} exists, but not its ring {ring}: put that back, a new one does not open what it sealed"
    assert refused.stderr == f"connector: {told}\n"
    assert not ring.exists()


def test_a_rotation_in_three_commands(operator: Operator) -> None:
    operator.settle(operator.accept("alice"))
    task_id = operator.accept("bob")
    assert operator.table() == [["sealing", "s1", "1", "current"], ["tokens", "t1", "1", "current"]]
    assert operator("keys", "status").exit_code == 0

    first = operator("keys", "rotate")
    assert (first.exit_code, first.stderr) == (0, "")
    assert "New keys: s2, t2" in first.stdout
    assert "Rows re-encrypted: 1, in 0." in first.stdout
    assert "s1 is needed by 1 connect task, and goes when the last of them has ended." in first.stdout
    assert re.search(r"t1 stays until \d\d:\d\d:\d\dZ", first.stdout)
    assert first.stdout.endswith("Run `connector keys rotate` again then, or with --wait.\n")

    status = operator("keys", "status")
    assert status.exit_code == 3
    assert status.stderr == "A rotation is not finished: `connector keys rotate` goes on with it.\n"

    second = operator("keys", "rotate", "--grace", "0")
    assert second.stdout.splitlines()[:2] == ["Going on with the rotation to s2, t2.", "Removed t1 from the ring."]
    operator.settle(task_id)
    third = operator("keys", "rotate", "--grace", "0", "--wait")
    assert third.stdout.splitlines()[-1] == "Done: s2, t2 are the only keys."
    assert operator.table() == [["sealing", "s2", "0", "current"], ["tokens", "t2", "2", "current"]]


def test_a_second_run_gives_the_rows_of_the_first_their_grace_period(operator: Operator) -> None:
    """The new keys are an hour old, as after a run that was killed or took that long; the rows' are not."""
    operator.settle(operator.accept("alice"))
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    ring = operator.store.load_ring().rotated(now=an_hour_ago)
    operator.store.save_ring(ring)
    operator.store.save_excerpt(ring.for_shim(an_hour_ago))

    assert "Rows re-encrypted: 1" in operator("keys", "rotate").stdout
    second = operator("keys", "rotate")

    assert re.search(r"t1 stays until \d\d:\d\d:\d\dZ", second.stdout)
    assert re.fullmatch(r"old, stays until \d\d:\d\d:\d\dZ", operator.table()[-1][-1])
    assert operator.store.load_ring().ids == ["s2", "s1", "t2", "t1"]


def test_no_key_is_ever_printed(operator: Operator) -> None:
    operator.settle(operator.accept("alice"))
    printed = operator("keys", "rotate").output + operator("keys", "status").output
    printed += operator("keys", "status", "--json").output
    ring = json.loads(operator.store.load_ring().to_json())

    assert not [key for kind in ("sealing", "tokens") for key in ring[kind] if key["key"] in printed]
    assert ring["fingerprint"] not in printed


def test_monitors_read_json(operator: Operator) -> None:
    operator("keys", "rotate")
    told = json.loads(operator("keys", "status", "--json").stdout)

    assert [(key["kind"], key["id"], key["state"], key["rows"]) for key in told] == [
        ("sealing", "s2", "current", 0),
        ("sealing", "s1", "retiring", 0),
        ("tokens", "t2", "current", 0),
        ("tokens", "t1", "retiring", 0),
    ]
    assert told[0]["needed_by"] == {}
    assert told[1]["retires_at"] > told[0]["created_at"] > told[1]["created_at"]


def test_a_lost_key_is_loud(operator: Operator, settings: Settings) -> None:
    backup = operator.store.load_ring()
    operator("keys", "rotate")
    operator.settle(operator.accept("alice"))
    operator.store.save_ring(backup)

    status = operator("keys", "status")
    assert status.exit_code == 4
    assert "LOST" in status.stdout
    loss = "DATA LOSS: rows need keys that the ring does not have: t2 (1 account). Put back the ring that has them."
    assert status.stderr == f"{loss}\n"

    rotated = operator("keys", "rotate", "--wait", "--grace", "0")
    assert (rotated.exit_code, rotated.stderr) == (1, f"connector: {loss}\n")


def test_every_kind_of_row_is_told(operator: Operator) -> None:
    operator.settle(operator.accept("alice"))
    operator.settle(operator.accept("bob"))
    with operator.database.write() as connection:
        retire_sessions(connection, connection.execute(select(accounts.c.id).limit(1)).scalar_one())
    operator.store.save_ring(operator.store.load_ring().rotated(now=datetime.now(UTC)))

    assert ["tokens", "t1", "3", "needed by 2 accounts and 1 retired session"] in operator.table()
    told = json.loads(operator("keys", "status", "--json").stdout)
    assert told[-1]["needed_by"] == {"accounts": 2, "retired sessions": 1}
    assert "Rows re-encrypted: 3" in operator("keys", "rotate").stdout


def test_tokens_that_do_not_decrypt_are_named(operator: Operator) -> None:
    operator.settle(operator.accept("alice"))
    with operator.database.write() as connection:
        (account_id,) = connection.execute(update(accounts).values(refresh_token=b"t1.").returning(accounts.c.id)).one()
    rotated = operator("keys", "rotate")

    assert rotated.exit_code == 1
    told = f"secrets that do not open with the key they name, in 1 of the rows: {account_id}"
    assert rotated.stderr == f"connector: {told}\n"


def test_ctrl_c_is_no_failure_of_the_rotation(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rotation, "retire", interrupted)
        stopped = operator("keys", "rotate")
    assert stopped.exit_code == 1
    assert stopped.stderr == "connector: stopped; nothing is lost, `connector keys rotate` goes on from here\n"

    assert operator("keys", "rotate", "--grace", "0").stdout.endswith("Done: s2, t2 are the only keys.\n")


def test_rows_of_an_older_version_are_told(operator: Operator) -> None:
    operator.accept("alice")
    with operator.database.write() as connection:
        connection.execute(update(connect_tasks).values(sealing_key=None))

    state = "written by an older version, which did not say with which key"
    assert ["sealing", "?", "1", state] in operator.table()
    told = "The old keys stay for 1 connect task of an older version that may need any of them."
    assert told in operator("keys", "rotate", "--grace", "0").stdout


@pytest.mark.parametrize("command", ["rotate", "status"])
def test_without_a_ring_it_says_how_to_make_one(
    command: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_VAR_DIR", str(settings.var_dir))
    runner = CliRunner()
    runner.invoke(app, ["migrate"])
    result = runner.invoke(app, ["keys", command], catch_exceptions=False)

    assert result.exit_code == 2
    assert result.stderr == (
        f"connector: CONNECTOR_KEYS_FILE: {settings.worker_keys_path} does not exist; "
        "`connector keys generate` makes it\n"
    )
