"""`connector audit`, and what operators do that it tells of."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from typer.testing import CliRunner, Result

from cli.main import app
from connections.audit import WORKER, Action, AuditEntry, AuditOutcome
from connections.db import Database
from connections.models import audit_log
from connections.repository import audit
from connections.settings import Settings

Connector = Callable[..., Result]


@pytest.fixture
def connector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connector:
    """Runs a command on migrated tables of its own."""
    monkeypatch.setenv("CONNECTOR_VAR_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "80")
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        return runner.invoke(app, arguments, prog_name="connector", catch_exceptions=False)

    assert run("migrate").exit_code == 0
    return run


@pytest.fixture
def acme(connector: Connector) -> str:
    return connector("workspace", "create", "Acme").stdout.strip()


def entries(connector: Connector, *options: str) -> list[dict[str, Any]]:
    result = connector("audit", "--json", *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def opened(tmp_path: Path) -> Database:
    return Database(Settings(var_dir=tmp_path / "var").database)


def record(tmp_path: Path, *more: AuditEntry) -> None:
    database = opened(tmp_path)
    for entry in more:
        with database.write() as connection:
            audit.record(connection, [entry])
    database.close()


def test_what_operators_make_and_revoke_is_noted(connector: Connector, acme: str) -> None:
    profile = connector("profile", "create", "Brand", "--workspace", "Acme").stdout.strip()
    key = connector("key", "create", "--workspace", "Acme").stdout.strip()
    prefix = key[: len("up_live_") + 8]
    assert connector("key", "revoke", prefix).exit_code == 0
    # What fails has changed nothing.
    assert connector("key", "revoke", prefix).exit_code == 1
    assert connector("workspace", "create", "Acme").exit_code == 1
    assert connector("profile", "create", "Brand", "--workspace", "Acme").exit_code == 1
    found = entries(connector)

    assert {(one["actor"], one["actor_type"], one["outcome"], one["workspace_id"]) for one in found} == {
        ("operator", "operator", "succeeded", acme)
    }
    made = {one["action"]: one["target"] for one in found}
    assert made.pop("key.create") == made.pop("key.revoke")
    assert made == {"workspace.create": acme, "profile.create": profile}
    assert prefix not in json.dumps(found)


def test_filters_go_together(connector: Connector, acme: str, tmp_path: Path) -> None:
    other = connector("workspace", "create", "Other").stdout.strip()
    record(
        tmp_path,
        AuditEntry(acme, "key_1", Action.ACCOUNT_CONNECT, account_id="sa_1"),
        AuditEntry(other, "key_2", Action.ACCOUNT_CONNECT),
        AuditEntry(acme, WORKER, Action.ACCOUNT_REFUSED, AuditOutcome.FAILED, account_id="sa_1", cause="refused"),
    )

    def told(*options: str) -> list[tuple[str, str]]:
        return [(one["actor"], one["action"]) for one in entries(connector, *options)]

    assert len(told()) == 5
    assert told("--workspace", "Other") == [("key_2", "account.connect"), ("operator", "workspace.create")]
    assert told("--action", "account.connect", "--workspace", acme) == [("key_1", "account.connect")]
    assert told("--actor", WORKER) == [(WORKER, "account.refused")]
    assert told("--account", "sa_1") == [(WORKER, "account.refused"), ("key_1", "account.connect")]
    assert told("--account", "sa_1", "--workspace", "Other") == []
    assert connector("audit", "--workspace", "Nobody").exit_code == 1


def test_how_far_back_and_how_many(connector: Connector, acme: str, tmp_path: Path) -> None:
    database = opened(tmp_path)
    days = [
        {
            "id": f"al_{age}",
            "workspace_id": acme,
            "at": datetime.now(UTC) - timedelta(days=age),
            "actor": "key_1",
            "action": "account.connect",
            "outcome": "succeeded",
        }
        for age in range(1, 61)
    ]
    with database.write() as connection:
        connection.execute(insert(audit_log), days)
    database.close()

    assert len(entries(connector)) == 61
    assert [one["id"] for one in entries(connector, "--since", "60h")[1:]] == ["al_1", "al_2"]
    assert [one["id"] for one in entries(connector, "--limit", "2")[1:]] == ["al_1"]
    shown = connector("audit")
    assert shown.stdout.count("account.connect") == 49
    assert shown.stderr == "There are older ones: --limit shows more, --json all.\n"
    assert connector("audit", "--limit", "61").stderr == ""


def test_a_table_names_keys_as_people_know_them(connector: Connector, acme: str, tmp_path: Path) -> None:
    prefix = connector("key", "create", "--workspace", "Acme", "--name", "billing").stdout[:16]
    (made,) = entries(connector, "--action", "key.create")
    account = "sa_01jd2w8v70e3g5j7m9q1s3v5x7"
    refused = AuditOutcome.FAILED
    record(
        tmp_path,
        AuditEntry(acme, made["target"], Action.ACCOUNT_CONNECT, account_id=account),
        AuditEntry(acme, made["target"], Action.ACCOUNT_CONNECT, refused, cause="unauthorized"),
    )

    lines = connector("audit").stdout.splitlines()

    assert max(map(len, lines)) <= 80
    assert [line[21:].split() for line in lines[1:6]] == [
        ["account.connect", f"{prefix}…", "billing"],
        ["failed:", "unauthorized"],
        ["account.connect", f"{prefix}…", "billing"],
        [account],
        ["key.create", "operator"],
    ]


def test_a_wide_terminal_has_a_line_for_each(
    connector: Connector, acme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    record(tmp_path, AuditEntry(acme, "key_1", Action.ACCOUNT_CONNECT, account_id="sa_1"))

    lines = connector("audit", "--workspace", "Acme").stdout.splitlines()

    assert [line[21:].split() for line in lines] == [
        ["what", "by", "on"],
        ["account.connect", "key_1", "sa_1"],
        ["workspace.create", "operator", "Acme"],
    ]


def test_nothing_to_show(connector: Connector) -> None:
    assert connector("audit", "--json").output == ""
    empty = connector("audit")
    assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "There are no such entries.\n")
    assert connector("audit", "--json", "--csv").exit_code == 2


def test_a_spreadsheet_runs_nothing_of_it(connector: Connector, acme: str, tmp_path: Path) -> None:
    record(tmp_path, AuditEntry(acme, "key_1", Action.BATCH_CREATE, target="cb_1", request_id="=HYPERLINK(1)"))

    head, newest, *_ = csv.reader(connector("audit", "--csv").stdout.splitlines())

    row = dict(zip(head, newest, strict=True))
    assert row["request_id"] == "'=HYPERLINK(1)"
    assert (row["workspace_id"], row["actor"], row["target"], row["cause"]) == (acme, "key_1", "cb_1", "")
    assert entries(connector, "--limit", "1")[0]["request_id"] == "=HYPERLINK(1)"


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(lambda text: f"canary-{text}")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(workspace=names, other=names)
def test_no_name_is_in_it(connector: Connector, tmp_path: Path, workspace: str, other: str) -> None:
    connector("workspace", "create", workspace)  # or there is one already
    assert connector("key", "create", "--workspace", workspace, "--name", other).exit_code == 0
    connector("profile", "create", other, "--workspace", workspace)

    database = opened(tmp_path)
    with database.read() as connection:
        cells = [str(cell) for row in connection.execute(select(audit_log)) for cell in row]
    database.close()
    assert cells
    assert not [cell for cell in cells if "canary" in cell]
