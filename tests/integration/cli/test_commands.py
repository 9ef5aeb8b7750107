"""The commands that prepare a service: tables, workspaces, profiles, keys."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from connections.api_keys import prefix_of
from connections.db import Database
from connections.errors import Unauthorized
from connections.service import ConnectService
from connections.settings import Settings
from connections.vault import Sealer, ShimKeys
from tests.processes import ROOT
from tests.servers import free_port

Connector = Callable[..., Result]

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def connector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connector:
    """Runs a command; its settings point to an empty directory."""
    monkeypatch.setenv("CONNECTOR_VAR_DIR", str(tmp_path / "var"))
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, arguments, prog_name="connector", catch_exceptions=False)


@pytest.fixture
def migrated(connector: Connector) -> Connector:
    assert connector("migrate").exit_code == 0
    return connector


@pytest.fixture
def acme(migrated: Connector) -> Connector:
    assert migrated("workspace", "create", "Acme").exit_code == 0
    return migrated


def test_migrating_makes_the_database_once(connector: Connector, tmp_path: Path) -> None:
    for _ in range(2):
        result = connector("migrate")
        assert (result.exit_code, result.output) == (0, "The database is up to date.\n")
    assert (tmp_path / "var" / "connector.db").exists()
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


def test_tables_of_a_newer_version_are_left_alone(migrated: Connector, tmp_path: Path) -> None:
    path = tmp_path / "var" / "connector.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    result = migrated("migrate")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "connector: the tables are a newer version's; use that version of connector\n"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


@pytest.mark.parametrize("has_database", [False, True])
def test_without_tables_a_command_says_how_to_make_them(
    connector: Connector, tmp_path: Path, has_database: bool
) -> None:
    if has_database:
        (tmp_path / "var").mkdir()
    result = connector("workspace", "create", "Acme")

    assert result.exit_code == 1
    assert result.stderr == "connector: the database is not up to date; run `connector migrate` first\n"


def test_what_is_created_is_all_that_stdout_says(migrated: Connector) -> None:
    workspace = migrated("workspace", "create", "Acme")
    assert re.fullmatch(r"ws_[0-9a-z]{26}\n", workspace.stdout)

    for name, name_or_id in {"Brand": "Acme", "Other": workspace.stdout.strip()}.items():
        profile = migrated("profile", "create", name, "--workspace", name_or_id)
        assert re.fullmatch(r"pr_[0-9a-z]{26}\n", profile.stdout)

        key = migrated("key", "create", "--workspace", name_or_id)
        assert prefix_of(key.stdout.strip())
        assert key.stderr == "Keep it now: it is not shown again.\n"


def test_a_workspace_has_a_name_of_its_own(acme: Connector) -> None:
    again = acme("workspace", "create", "Acme")
    assert (again.exit_code, again.stderr) == (1, "connector: there is a workspace 'Acme' already\n")


def test_a_profile_has_a_name_of_its_own_in_its_workspace(acme: Connector) -> None:
    assert acme("workspace", "create", "Other").exit_code == 0
    for workspace in ("Acme", "Other"):
        assert acme("profile", "create", "Brand", "--workspace", workspace).exit_code == 0

    again = acme("profile", "create", "Brand", "--workspace", "Acme")

    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == "connector: the workspace has a profile 'Brand' already\n"
    assert len(acme("profile", "list", "--workspace", "Acme").stdout.splitlines()) == 1


def test_a_name_that_several_workspaces_have_chooses_none(acme: Connector, tmp_path: Path) -> None:
    other = acme("workspace", "create", "Other").stdout.strip()
    with closing(sqlite3.connect(tmp_path / "var" / "connector.db")) as connection:
        # As the holder of a key of it may have done.
        connection.execute("UPDATE workspaces SET name = 'Acme' WHERE id = ?", [other])
        connection.commit()

    refused = acme("key", "create", "--workspace", "Acme")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("connector: several workspaces are called 'Acme'")
    assert acme("key", "create", "--workspace", other).exit_code == 0


def test_an_id_is_no_name(acme: Connector, tmp_path: Path) -> None:
    other = acme("workspace", "create", "Other").stdout.strip()
    brand = acme("profile", "create", "Brand", "--workspace", other).stdout.strip()
    with closing(sqlite3.connect(tmp_path / "var" / "connector.db")) as connection:
        connection.execute("UPDATE workspaces SET name = ? WHERE name = 'Acme'", [other])
        connection.commit()

    assert acme("profile", "list", "--workspace", other).stdout.startswith(brand)


def test_a_deleted_profile_is_not_listed_and_its_name_is_free(acme: Connector, tmp_path: Path) -> None:
    gone = acme("profile", "create", "Brand", "--workspace", "Acme").stdout.strip()
    with closing(sqlite3.connect(tmp_path / "var" / "connector.db")) as connection:
        connection.execute("UPDATE profiles SET deleted_at = '2026-11-23 10:00:00' WHERE id = ?", [gone])
        connection.commit()

    assert acme("profile", "list", "--workspace", "Acme").stdout == ""
    assert acme("profile", "create", "Brand", "--workspace", "Acme").exit_code == 0


def test_workspaces_and_their_profiles_are_listed(migrated: Connector) -> None:
    empty = migrated("workspace", "list")
    assert (empty.exit_code, empty.output) == (0, "")
    acme, other = (migrated("workspace", "create", name).stdout.strip() for name in ("Acme", "Other Ltd"))
    brand = migrated("profile", "create", "Brand", "--workspace", acme).stdout.strip()
    migrated("profile", "create", "Elsewhere", "--workspace", other)

    workspaces = migrated("workspace", "list").stdout.splitlines()
    profiles = migrated("profile", "list", "--workspace", "Acme").stdout.splitlines()

    assert len(workspaces) == 2
    assert {re.sub(TIME, "…", line) for line in workspaces} == {
        f"{acme}  Acme       created …",
        f"{other}  Other Ltd  created …",
    }
    assert [re.sub(TIME, "…", line) for line in profiles] == [f"{brand}  Brand  created …"]


@pytest.mark.parametrize(
    "command", [("profile", "create", "Brand"), ("profile", "list"), ("key", "create"), ("key", "list")]
)
def test_an_unknown_workspace(acme: Connector, command: tuple[str, ...]) -> None:
    result = acme(*command, "--workspace", "Nobody")
    assert (result.exit_code, result.stderr) == (
        1,
        "connector: there is no workspace 'Nobody'; `connector workspace list` shows all there are\n",
    )


def test_keys_work_until_they_are_revoked(acme: Connector, tmp_path: Path) -> None:
    key = acme("key", "create", "--workspace", "Acme", "--name", "ci", "--test").stdout.strip()
    assert key.startswith("up_test_")
    settings = Settings(var_dir=tmp_path / "var")
    assert acme("keys", "generate").exit_code == 0
    sealer = Sealer(ShimKeys.load(settings.shim_keys_path, settings))
    database = Database(settings.database)
    assert ConnectService(database, sealer, settings).authenticate(key).key_id

    revoked = acme("key", "revoke", prefix_of(key))

    assert revoked.output == f"{prefix_of(key)} is revoked.\n"
    with pytest.raises(Unauthorized):
        ConnectService(database, sealer, settings).authenticate(key)
    assert acme("key", "revoke", prefix_of(key)).stderr == "connector: there is no such key that still works\n"
    database.close()


def test_listing_keys_tells_their_state_and_never_the_key(acme: Connector) -> None:
    keys = {
        name: acme("key", "create", "--workspace", "Acme", "--name", name, *options).stdout.strip()
        for name, options in {"forever": [], "soon": ["--expires-in", "90d"], "gone": []}.items()
    }
    acme("key", "revoke", prefix_of(keys["gone"]))

    listed = acme("key", "list", "--workspace", "Acme").stdout

    lines = listed.splitlines()
    assert re.fullmatch(rf"{prefix_of(keys['forever'])}…  forever  created {TIME}  never used  valid", lines[0])
    assert re.fullmatch(rf"{prefix_of(keys['soon'])}…  soon     created {TIME}  never used  expires {TIME}", lines[1])
    assert re.fullmatch(rf"{prefix_of(keys['gone'])}…  gone     created {TIME}  never used  revoked {TIME}", lines[2])
    assert not any(key in listed for key in keys.values())


@pytest.mark.parametrize("text", ["90", "d", "1.5h", "0d", "-1d", "90 days"])
def test_a_duration_is_a_number_and_a_unit(acme: Connector, text: str) -> None:
    result = acme("key", "create", "--workspace", "Acme", "--expires-in", text)
    assert result.exit_code == 2
    assert "write a number and m, h or d, such as 90d" in result.stderr


@pytest.mark.parametrize("command", ["api", "worker", "beat"])
def test_a_part_alone_needs_a_queue(command: str, migrated: Connector) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "cli", command, *(["--port", str(free_port())] if command == "api" else [])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    line = "CONNECTOR_REDIS_URL is not set; `connector up` starts an embedded Valkey by itself"
    assert (answer.returncode, answer.stdout, answer.stderr) == (2, "", f"connector: {line}\n")
