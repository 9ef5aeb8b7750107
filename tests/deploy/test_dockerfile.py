"""What the Dockerfile promises. What its steps make is looked at in `test_image.py`."""

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tests.deploy.dockerfile import Stage, is_ignored, read_stages
from tests.deploy.files import DOCKERFILE
from tests.processes import ROOT

IGNORE = ROOT / ".dockerignore"
BUILD, FINAL = read_stages(DOCKERFILE)


def texts(stage: Stage, name: str) -> list[str]:
    return [step.text for step in stage if step.name == name]


def copied() -> list[str]:
    return [source for step in BUILD if step.name == "COPY" for source in step.words[:-1]]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_environment_meets_the_interpreter_it_was_made_with() -> None:
    (build,), (final,) = texts(BUILD, "FROM"), texts(FINAL, "FROM")
    assert build == f"{final} AS build"


def test_only_the_finished_environment_is_taken_over() -> None:
    assert texts(FINAL, "COPY") == ["--from=build /opt/connector /opt/connector"]
    assert not texts(FINAL, "ADD")
    assert not any(tool in step for step in texts(FINAL, "RUN") for tool in ("pip", "apt", "curl", "gcc"))


def test_it_is_not_root_and_its_user_is_a_number() -> None:
    """Kubernetes' `runAsNonRoot` cannot look names up."""
    assert texts(FINAL, "USER") == ["10001:10001"]
    assert "--uid 10001" in texts(FINAL, "RUN")[0]


def test_signals_reach_the_process_itself() -> None:
    """The shell form would put a shell in between."""
    for name in ("ENTRYPOINT", "CMD"):
        (command,) = texts(FINAL, name)
        assert command.startswith("[")


def test_the_checkout_gives_its_packages_and_nothing_else() -> None:
    assert {"requirements.lock", "pyproject.toml", "README.md"} <= set(copied())
    assert not [name for name in copied() if is_ignored(PurePosixPath(name), IGNORE)]
    given = {path.name for path in ROOT.iterdir() if not is_ignored(PurePosixPath(path.name), IGNORE)}
    assert given == set(copied())


@pytest.mark.parametrize(
    "name",
    [".git/config", ".env", "var/keys.json", "var/connector.db", ".venv/bin/python", "tests/conftest.py", "keys.json",
     "cli/__pycache__/main.cpython-313.pyc", "cli/main.pyc", "sandbox/server.py"],
)  # fmt: skip
def test_what_is_nobodys_business_is_kept_from_the_build(name: str) -> None:
    assert is_ignored(PurePosixPath(name), IGNORE)
