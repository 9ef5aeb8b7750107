"""What a person can put right is one line and an exit status; `--help` is quick."""

import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.processes import ROOT

COMMANDS = [
    ("up",),
    ("demo",),
    ("api",),
    ("worker",),
    ("beat",),
    ("migrate",),
    ("workspace", "create", "Acme"),
    ("workspace", "list"),
    ("profile", "create", "Brand", "--workspace", "Acme"),
    ("profile", "list", "--workspace", "Acme"),
    ("key", "create", "--workspace", "Acme"),
    ("key", "list", "--workspace", "Acme"),
    ("key", "revoke", "up_live_12345678"),
    ("keys", "generate"),
    ("status",),
    ("task", "show", "ct_1"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "CONNECTOR_DATABASE_URL",
            "mysql://root:secret@db/x",
            "CONNECTOR_DATABASE_URL: must start with postgresql:// or sqlite:///",
        ),
        ("CONNECTOR_ENV", "production", "CONNECTOR_KEYS_FILE is required when CONNECTOR_ENV=production"),
    ],
)
def test_a_wrong_setting_is_one_line(
    command: tuple[str, ...], variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    result = CliRunner().invoke(app, command, catch_exceptions=False)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"connector: {line}\n")


def test_help_imports_nothing_heavy() -> None:
    program = """
import sys
from typer.testing import CliRunner
from cli.main import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
print(*{"pydantic", "sqlalchemy", "celery", "fastapi", "httpx", "atproto"} & set(sys.modules))
"""
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout == "\n"


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (result.exit_code, result.stdout) == (0, f"connector {version}\n")
