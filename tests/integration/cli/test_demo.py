"""`connector demo`, which is `make run`: a newcomer's first minutes."""

import shlex
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

from sandbox.process import SandboxProcess
from tests.integration.cli.connector import running_connector, still_alive
from tests.processes import ROOT

WELCOMED = "Ctrl-C stops everything."


def variables(path: Path) -> dict[str, str]:
    """What a shell knows after `. dev.env`."""
    script = f"set -a; . {shlex.quote(str(path))}; exec env"
    printed = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


def connect(env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """`connector connect` as one would type it after `. dev.env`."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "connect", env["DEMO_HANDLE"], "--password-stdin"],
        cwd=ROOT,
        env=env,
        input=env["DEMO_APP_PASSWORD"] + "\n",
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_first_run_and_a_second(tmp_path: Path) -> None:
    dev_env = tmp_path / "var" / "dev.env"
    with running_connector(tmp_path, "demo") as connector:
        connector.wait_for(WELCOMED)
        family = connector.family
        first = variables(dev_env)
        assert stat.S_IMODE(dev_env.stat().st_mode) == 0o600
        assert first["CONNECTOR_URL"] == connector.url

        connected = connect(first)
        assert (connected.returncode, connected.stderr) == (0, "")
        assert connected.stdout.startswith(f"Connected {first['DEMO_HANDLE']}\n")

        assert connector.signal(signal.SIGTERM) == 0
        assert still_alive(family) == []

    with running_connector(tmp_path, "demo") as connector:
        connector.wait_for(WELCOMED)
        second = variables(dev_env)
        assert second["CONNECTOR_URL"] == connector.url != first["CONNECTOR_URL"]
        assert second["UNIPOST_API_KEY"] == first["UNIPOST_API_KEY"]

        connected = connect(second)
        assert (connected.returncode, connected.stdout) == (1, "")
        assert f"Not connected: {first['DEMO_HANDLE']} is already connected in this workspace." in connected.stderr

    assert first["UNIPOST_API_KEY"] not in connector.output


def test_demos_in_one_folder_keep_apart(tmp_path: Path) -> None:
    usual = tmp_path / "var" / "dev.env"
    unset = {"CONNECTOR_VAR_DIR": ""}
    with running_connector(tmp_path, "demo", **unset) as first, running_connector(tmp_path, "demo", **unset) as second:
        first.wait_for(WELCOMED)
        second.wait_for(WELCOMED)
        own = [variables(tmp_path / "var" / demo.url.rpartition(":")[2] / "dev.env") for demo in (first, second)]

        assert [known["CONNECTOR_URL"] for known in own] == [first.url, second.url]
        assert variables(usual) in own
        assert stat.S_IMODE(usual.stat().st_mode) == 0o600
        assert [connect(known).returncode for known in own] == [0, 0]


def test_a_network_that_is_there_already_is_used(tmp_path: Path) -> None:
    with (
        SandboxProcess() as network,
        running_connector(
            tmp_path,
            "demo",
            CONNECTOR_DEV_PDS_URL=network.pds_url,
            CONNECTOR_PLC_URL=network.plc_url,
            DEMO_HANDLE=network.accounts[0].handle,
            DEMO_APP_PASSWORD="abcd-efgh-2345-wxyz",
        ) as connector,
    ):
        connector.wait_for(WELCOMED)
        assert not any("sandbox" in process.cmdline() for process in connector.family)
        assert connect(variables(tmp_path / "var" / "dev.env")).returncode == 0


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_connector(tmp_path, "demo", PORT=str(port)) as connector:
            assert connector.wait() == 1
    assert connector.output == f"connector: port {port} is taken; choose another, for example PORT={port + 1}\n"
