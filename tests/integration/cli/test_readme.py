"""What the README and the reference say to type is typed, to the letter."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.connector import running_connector
from tests.processes import ROOT

WELCOMED = "Ctrl-C stops everything."
README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()

# A line that the reader completes with what the answer above it says.
_TO_COMPLETE = re.compile(r"^(\w+)=\w+_….*$", re.MULTILINE)
_LOCATION = re.compile(r"^location: .*/(\w+)\s*$", re.MULTILINE | re.IGNORECASE)

_FIRST_ACCOUNT = re.compile(r'"id":"(sa_\w+)"')

TOLD = {
    "Without waiting": "alice.test",
    "Again, safely": "alice.test",
    "Many at once": "customer-1",
    "By your users themselves": "user-42",
    "Accounts, profiles and the workspace": "https://app.acme.example.com/social/",
}
"""What the samples under these headings of the reference end with, the batch's whether it has ended or not."""


def samples(document: str, heading: str) -> list[str]:
    """The blocks of shell under a heading."""
    section = re.split(r"^#+ ", document.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that has what a reader's has by then: the command, in its virtual environment."""
    command = tmp_path / ".venv" / "bin" / "connector"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m cli "$@"\n')
    command.chmod(0o755)
    return tmp_path


def typed(folder: Path, script: str) -> str:
    """What is printed. Fails unless every command does what it should."""
    path = f"{folder}/.venv/bin:/usr/bin:/bin:{Path(sys.executable).parent}"
    finished = subprocess.run(
        ["/bin/sh", "-eu"],
        input=script,
        cwd=folder,
        env={"PATH": path, "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, f"{script}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_a_first_connect_and_all_that_is_told_of_it(checkout: Path) -> None:
    with running_connector(checkout, "demo") as connector:
        connector.wait_for(WELCOMED)
        (first,) = samples(README, "Connect an account")
        (many,) = samples(README, "Import many")
        variables = first.splitlines(keepends=True)[0]

        assert '"account_name":"alice.test"' in typed(checkout, first)
        assert "1 of 1 rows are connected" in typed(checkout, variables + many)
        assert (checkout / "accounts.results.csv").exists()
        for heading, expected in TOLD.items():
            (sample,) = samples(REFERENCE, heading)
            begun, *rest = _TO_COMPLETE.split(sample)
            printed = typed(checkout, variables + begun)
            if rest:
                name, following = rest
                found = _LOCATION.search(printed) or _FIRST_ACCOUNT.search(printed)
                assert found is not None
                printed = typed(checkout, f"{variables}{name}={found[1]}{following}")
            assert expected in printed


def test_a_workspace_and_its_key_are_made(checkout: Path) -> None:
    (sample,) = samples(README, "Run it for real")

    printed = typed(checkout, sample)

    assert re.search(r"^up_\w+", printed, re.MULTILINE)
    assert "Acme" in printed
    assert (checkout / "var" / "keys.json").exists()
