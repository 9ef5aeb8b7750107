"""The picture of an import in README.md: a real one, recorded in a real terminal. `make pictures`; needs tmux.

Starts the demo on a free port, makes accounts in its sandbox, and imports a file of them in which some rows are wrong.
"""

import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.terminal_svg import draw
from cli.dev_env import read_dev_env
from sandbox.client import ControlClient, SandboxAccount
from tests.processes import ROOT, running
from tests.servers import free_port, wait_until

PICTURE = ROOT / "docs" / "pictures" / "import.svg"
COMMAND = "connector import accounts.csv"

_COLUMNS, _LINES = 100, 18
_ROWS = 600
_LOGIN_SECONDS = 0.35  # what a real PDS takes
_LOOK_SECONDS = 0.1


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with running_demo(folder) as (environment, control):
            write_accounts(folder / "accounts.csv", control)
            screens = record(folder, environment)
    draw(screens, PICTURE, title=f"A terminal: {COMMAND}", columns=_COLUMNS)
    print(f"{PICTURE.relative_to(ROOT)}: {len(screens)} screens")


@contextmanager
def running_demo(folder: Path) -> Iterator[tuple[dict[str, str], ControlClient]]:
    """The variables that its callers need, and the control of its sandbox."""
    var = folder / "var"
    settings = {"CONNECTOR_VAR_DIR": str(var), "PORT": str(free_port())}
    with running(["cli", "demo"], environment=settings, log=folder / "demo.log"):
        wait_until((var / "dev.env").exists, what="the demo to be ready")
        yield read_dev_env(var / "dev.env"), ControlClient(sandbox_url(var))


def sandbox_url(var: Path) -> str:
    url: str = json.loads((var / "sandbox.json").read_text())["control"]
    return url


def write_accounts(path: Path, control: ControlClient) -> None:
    control.login_delay(_LOGIN_SECONDS)
    people = control.create_accounts([f"shop{n}.test" for n in range(1, _ROWS)], app_password="abcd-efgh-2345-wxyz")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("handle", "app_password", "external_ref"))
        rows.writerows((*credentials(one, n), f"customer-{n}") for n, one in enumerate(people, 1))
        rows.writerow((people[0].handle, people[0].app_password, f"customer-{_ROWS}"))


def credentials(account: SandboxAccount, number: int) -> tuple[str, str]:
    """What somebody may have typed into a form."""
    match number:
        case 57 | 211 | 498:
            return account.handle, "wxyz-2345-efgh-abcd"
        case 120 | 333:
            return account.handle.replace("shop", "shap"), account.app_password
        case 402:
            return "our shop", account.app_password
        case _:
            return account.handle, account.app_password


def record(folder: Path, environment: dict[str, str]) -> list[str]:
    """Every screen that differs from the one before, with its colours, until the import is over."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**environment, "PATH": path, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "PS1": "$ "}
    socket = str(folder / "tmux")

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-u", "-f", "/dev/null", "-S", socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout

    shell = " ".join(["env", "-i", *(shlex.quote(f"{name}={value}") for name, value in variables.items())])
    tmux("new-session", "-d", "-x", str(_COLUMNS), "-y", str(_LINES), f"{shell} TERM=screen-256color sh")
    try:
        wait_until(lambda: "$" in tmux("capture-pane", "-p"), what="a prompt")
        tmux("send-keys", COMMAND, "Enter")
        screens: list[str] = []
        while not screens or "Results: " not in screens[-1]:
            screen = tmux("capture-pane", "-p", "-e").rstrip()
            if screen not in screens:
                screens.append(screen)
            time.sleep(_LOOK_SECONDS)
    finally:
        tmux("kill-server")
    return screens


if __name__ == "__main__":
    main()
