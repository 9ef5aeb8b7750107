"""The adapter against the sandbox: real sockets, real HTTP, real DNS, all on loopback."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from connections.errors import AlreadyConnected
from connections.settings import Settings
from connections.verified import Credentials, VerifiedAccount
from sandbox.client import ControlClient, SandboxAccount
from sandbox.process import SandboxProcess
from worker.pace import Unpaced
from worker.platforms.bluesky.adapter import Bluesky


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def control(sandbox: SandboxProcess) -> ControlClient:
    sandbox.control.reset()
    return sandbox.control


@pytest.fixture
def bluesky_settings(sandbox: SandboxProcess, tmp_path: Path) -> Settings:
    return Settings(
        var_dir=tmp_path,
        plc_url=sandbox.plc_url,
        dev_pds_url=sandbox.pds_url,
        dns_servers=(sandbox.dns_address,),
    )


@pytest.fixture
def bluesky(bluesky_settings: Settings) -> Iterator[Bluesky]:
    platform = Bluesky(bluesky_settings, Unpaced())
    yield platform
    platform.close()


@dataclass
class Connect:
    """Connects with a generous deadline; `connected` are the DIDs the workspace has already."""

    bluesky: Bluesky
    connected: frozenset[str] = frozenset()

    def __call__(self, identifier: str, password: str, seconds: float = 5.0) -> VerifiedAccount:
        return self.bluesky.connect(
            Credentials(identifier, password),
            deadline=time.monotonic() + seconds,
            before_login=self._refuse_if_connected,
        )

    def _refuse_if_connected(self, external_id: str | None, name: str | None) -> None:
        if external_id in self.connected:
            raise AlreadyConnected


@pytest.fixture
def connect(bluesky: Bluesky) -> Connect:
    return Connect(bluesky)


@pytest.fixture
def alice(control: ControlClient, sandbox: SandboxProcess) -> SandboxAccount:
    """On the PDS's own domain, resolved by the PDS."""
    return next(account for account in sandbox.accounts if account.handle == "alice.test")


@pytest.fixture
def carol(control: ControlClient) -> SandboxAccount:
    """On a domain of her own, resolved by the DNS."""
    return control.create_account("carol.sandbox.dev")


Within = Callable[[float], None]


@pytest.fixture
def within() -> Iterator[Within]:
    """Asserts at the end that no more than so many seconds have passed."""
    started = time.monotonic()
    limits: list[float] = []
    yield limits.append
    assert time.monotonic() - started < min(limits)
