"""`make up`: the Procfile's processes in one terminal, from a checkout that has neither Redis nor Postgres."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx

from connections.db import Database
from connections.settings import Settings
from sandbox.process import SandboxProcess
from tests.deploy.files import PROCFILE, procfile
from tests.e2e.stack import body
from tests.factories import make_tenant
from tests.integration.cli.connector import running_connector, still_alive
from tests.processes import ROOT
from tests.servers import free_port


def arguments_of_make_up() -> list[str]:
    """What `make up` calls `connector` with."""
    command = ["make", "--no-print-directory", "--dry-run", "up"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ARGS", "MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=ours, capture_output=True, text=True, check=True)
    _, arguments = done.stdout.splitlines()[-1].split("/bin/connector ")
    return arguments.split()


def test_make_up_starts_what_it_lists_and_ends_it(tmp_path: Path) -> None:
    shutil.copy(PROCFILE, tmp_path)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        SandboxProcess() as bluesky,
        running_connector(
            tmp_path,
            *arguments_of_make_up(),
            *("--port", str(port)),
            PORT="1",  # whoever listens there has not been told of the other
            WORKERS="2",
            CONNECTOR_DEV_PDS_URL=bluesky.pds_url,
            CONNECTOR_PLC_URL=bluesky.plc_url,
        ) as connector,
    ):
        connector.wait_for(f"ready at {url}")
        family = connector.family
        commands = [process.cmdline() for process in family]
        for name, (_, *arguments) in procfile().items():
            running = sum(command[-len(arguments) :] == arguments for command in commands)
            assert running == {"release": 0, "worker": 2}.get(name, 1), name

        database = Database(Settings(var_dir=tmp_path / "var").database)
        key = make_tenant(database).key
        database.close()
        account = bluesky.control.create_account("someone.test", app_password="abcd-efgh-2345-wxyz")
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            assert client.get("/readyz").status_code == 200
            answer = client.post(
                "/v1/accounts/connect",
                json=body(account.handle, account.app_password),
                headers={"Authorization": f"Bearer {key}"},
            )
        assert (answer.status_code, answer.json().get("account_name")) == (201, account.handle)

        assert connector.signal(signal.SIGTERM) == 0, connector.output
        assert still_alive(family) == []
