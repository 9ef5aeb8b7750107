"""One suite, two networks: the sandbox, and the real PDS and PLC from npm. Where they differ, the sandbox is wrong."""

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from sandbox.process import SandboxProcess
from tests.e2e.network.pds_client import PdsAccount, PdsClient
from tests.e2e.network.real import RealNetwork, require_node

NETWORKS = ["sandbox", pytest.param("real", marks=pytest.mark.real_network)]

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class NetworkUnderTest:
    """What the suite needs of either network."""

    kind: str
    pds: PdsClient
    pds_url: str
    plc_url: str
    tombstone: Callable[[str], None]
    set_endpoint: Callable[[str, str], None]

    def new_account(self) -> PdsAccount:
        """A fresh account under `.test`."""
        return self.pds.create_account(f"user{next(_numbers)}.test")

    def document(self, did: str) -> httpx.Response:
        """The directory's answer for a DID."""
        return httpx.get(f"{self.plc_url}/{did}", trust_env=False)


@contextmanager
def _sandbox(*arguments: str) -> Iterator[NetworkUnderTest]:
    with SandboxProcess(*arguments) as process, PdsClient(process.pds_url, "admin-pass") as pds:
        control = process.control

        def set_endpoint(did: str, endpoint: str) -> None:
            document = httpx.get(f"{process.plc_url}/{did}", trust_env=False).json()
            document["service"][0]["serviceEndpoint"] = endpoint
            control.put_document(did, document)

        yield NetworkUnderTest("sandbox", pds, process.pds_url, process.plc_url, control.tombstone, set_endpoint)


@contextmanager
def _real(*, limited: bool) -> Iterator[NetworkUnderTest]:
    require_node()
    with RealNetwork(rate_limits=limited, did_doc=limited) as real:
        yield NetworkUnderTest("real", real.pds, real.pds_url, real.plc_url, real.tombstone, real.set_endpoint)


@pytest.fixture(scope="session", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Iterator[NetworkUnderTest]:
    """A network without rate limits."""
    with _sandbox() if request.param == "sandbox" else _real(limited=False) as running:
        yield running


@pytest.fixture(scope="session", params=NETWORKS)
def hosted(request: pytest.FixtureRequest) -> Iterator[NetworkUnderTest]:
    """A network with what the hosted service has on: rate limits, and the DID document in sessions."""
    with _sandbox("--limits", "--did-doc") if request.param == "sandbox" else _real(limited=True) as running:
        yield running


@pytest.fixture
def account(network: NetworkUnderTest) -> PdsAccount:
    """A fresh account that the test may spoil."""
    return network.new_account()


@dataclass(frozen=True, slots=True)
class Resident:
    """An account with an app password that no test changes."""

    account: PdsAccount
    app_password: str


@pytest.fixture(scope="session")
def resident(network: NetworkUnderTest) -> Resident:
    """One account for every test that only logs in."""
    account = network.new_account()
    return Resident(account, network.pds.create_app_password(account))


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unchecked."""
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return decoded


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    """Status, error and message of an XRPC error, which has no other key."""
    body = response.json()
    assert body.keys() == {"error", "message"}
    return response.status_code, body["error"], body["message"]
