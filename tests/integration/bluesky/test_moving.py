"""An account moves from one server to another while a worker remembers the first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connections.errors import CredentialsRejected
from connections.settings import Settings
from sandbox.client import ControlClient, SandboxAccount
from sandbox.plc import did_document
from sandbox.process import SandboxProcess
from tests.integration.bluesky.conftest import Connect
from worker.platforms.bluesky.lexicon import CREATE_SESSION

HANDLE = "mover.sandbox.dev"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess("--pds-port", "0", "--pds-port", "0") as process:
        yield process


@pytest.fixture
def bluesky_settings(sandbox: SandboxProcess, tmp_path: Path) -> Settings:
    return Settings(
        var_dir=tmp_path,
        plc_url=sandbox.plc_url,
        dev_pds_url=sandbox.hosts["pds"],
        bluesky_url=sandbox.hosts["pds2"],  # the one other server that may be called without https
        dns_servers=(sandbox.dns_address,),
    )


@pytest.fixture
def mover(control: ControlClient, sandbox: SandboxProcess) -> SandboxAccount:
    """Lives at the second server already, while the directory still names the first, which knows no such account."""
    account = control.create_account(HANDLE, host="pds2")
    control.put_document(account.did, did_document(account.did, HANDLE, sandbox.hosts["pds"]))
    return account


def test_a_worker_that_remembers_the_old_server_follows(
    connect: Connect, control: ControlClient, mover: SandboxAccount, sandbox: SandboxProcess
) -> None:
    with pytest.raises(CredentialsRejected):
        connect(HANDLE, mover.app_password)
    control.put_document(mover.did, did_document(mover.did, HANDLE, sandbox.hosts["pds2"]))
    assert connect(HANDLE, mover.app_password).host == sandbox.hosts["pds2"]
    assert [control.count(CREATE_SESSION, host=host) for host in ("pds", "pds2")] == [2, 1]
    assert control.open_sessions(mover.did) == 1


def test_a_wrong_password_is_tried_once_at_each_server_at_most(
    connect: Connect, control: ControlClient, mover: SandboxAccount, sandbox: SandboxProcess
) -> None:
    control.put_document(mover.did, did_document(mover.did, HANDLE, sandbox.hosts["pds2"]))
    for attempt in (1, 2):
        with pytest.raises(CredentialsRejected):
            connect(HANDLE, "aaaa-aaaa-aaaa-aaaa")
        assert control.count(CREATE_SESSION) == attempt
