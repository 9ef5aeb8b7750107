"""`connector task show`: what the tables tell of one task."""

import json

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from connections.contract import ErrorBody
from connections.db import Database
from connections.errors import UpstreamFailed
from connections.outcome import Outcome
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import FileKeyStore, Opener, Sealer, TokenCipher, generate_keys
from tests.factories import Tenant, connect_command, make_batch, make_tenant, verified

PASSWORD = "abcd-efgh-2345-wxyz"


class Service:
    """Accepts and settles, beside an operator who types commands."""

    def __init__(self, database: Database, settings: Settings) -> None:
        store = FileKeyStore(settings)
        generate_keys(store, settings.env)
        self.database = database
        self.sealer = Sealer(store.load_excerpt())
        ring = store.load_ring()
        self.tenant: Tenant = make_tenant(database)
        self.service = ConnectService(database, self.sealer, settings)
        self.settlement = Settlement(database, Opener(ring), TokenCipher(ring), lease_seconds=30)

    def accept(self, *, wait: float = 0) -> str:
        command = connect_command("alice.test", PASSWORD)
        return self.service.accept(
            self.tenant.caller, command, request_id="req_1", reply_to="shim_1", wait=wait
        ).task_id

    def show(self, *arguments: str) -> Result:
        result = CliRunner().invoke(app, ["task", "show", *arguments], prog_name="connector", catch_exceptions=False)
        assert PASSWORD not in result.output
        return result


@pytest.fixture
def service(database: Database, database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("CONNECTOR_DATABASE_URL", database_url)
    monkeypatch.setenv("CONNECTOR_VAR_DIR", str(settings.var_dir))
    return Service(database, settings)


def facts(result: Result) -> dict[str, str]:
    """The lines between the first and the last."""
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.strip().split("  ", 1) for line in result.stdout.splitlines()[1:-2]]
    return {name: value.strip() for name, value in lines}


def test_a_task_that_somebody_waits_for(service: Service) -> None:
    task_id = service.accept(wait=25)
    shown = service.show(task_id)

    assert shown.stdout.splitlines()[0] == f"{task_id}: queued"
    assert shown.stdout.splitlines()[-1].startswith("A worker takes it as soon as one is free; else the sweep ")
    told = facts(shown)
    assert told["request"] == "req_1"
    assert told["workspace"] == f"{service.tenant.workspace_id}  Acme"
    assert told["profile"] == f"{service.tenant.profile_ids[0]}  Default"
    assert told["attempts"] == "0 of 5"
    assert told["caller"].startswith("waits at shim_1 until ")


def test_a_task_under_way(service: Service) -> None:
    task_id = service.accept()
    assert service.settlement.claim(task_id) is not None
    shown = service.show(task_id)

    assert shown.stdout.splitlines()[0] == f"{task_id}: running"
    assert facts(shown)["attempts"] == "1 of 12"
    assert "lease until" in facts(shown)
    assert shown.stdout.splitlines()[-1].startswith("Its worker has the lease for another ")


def test_a_task_that_is_tried_again(service: Service) -> None:
    task = service.settlement.claim(task_id := service.accept())
    assert task is not None
    error: ErrorBody = UpstreamFailed().describe()
    assert service.settlement.postpone(task, Outcome.of_error(error), 300)

    told = json.loads(service.show(task_id, "--json").stdout)

    assert (told["status"], told["attempts"], told["error"]["code"]) == ("retrying", 1, "UPSTREAM_ERROR")
    assert told["next"] == "It is due in 5 min; then the sweep sends it again in 5 min."


def test_a_task_that_has_an_account(service: Service) -> None:
    task = service.settlement.claim(task_id := service.accept())
    assert task is not None
    assert service.settlement.succeed(task, verified())
    shown = service.show(task_id)

    assert facts(shown)["account"].endswith("alice.test  did:plc:alice")
    assert shown.stdout.splitlines()[-1] == "It is connected; nothing happens any more."
    assert "canary" not in shown.output + service.show(task_id, "--json").output  # its tokens


def test_a_row_of_a_batch(service: Service) -> None:
    batch = make_batch(service.database, service.tenant, ["a.test", "b.test"], service.sealer)
    shown = service.show(batch.task_ids[1])

    assert facts(shown)["batch"] == f"{batch.id}, row 2 of 2"
    assert shown.stdout.splitlines()[-1] == "It waits for its turn; nobody knows yet which host it leads to."


@pytest.mark.parametrize("task_id", ["ct_unknown", "", "ct_'; --", "x" * 100])
def test_a_task_that_does_not_exist(service: Service, task_id: str) -> None:
    shown = service.show(task_id)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == (
        f"connector: there is no task {task_id!r}; ended ones go after CONNECTOR_TASK_RETENTION_DAYS\n"
    )


def test_a_batch_is_shown_elsewhere(service: Service) -> None:
    shown = service.show("cb_1")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == "connector: cb_1 is a batch; `connector batch show cb_1` shows it\n"
