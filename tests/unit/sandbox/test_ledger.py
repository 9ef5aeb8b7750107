"""What the ledger adds up."""

import json

import pytest

from sandbox.control import Control
from sandbox.ledger import Entry
from sandbox.message import Request
from sandbox.network import Network, NetworkSettings

LOGIN = "com.atproto.server.createSession"


@pytest.fixture
def network() -> Network:
    return Network(NetworkSettings())


def record(network: Network, host: str, status: int, *, times: int = 1) -> None:
    for number in range(times):
        network.ledger.record(Entry(0.0, host, LOGIN, f"user{number}.test", status, "127.0.0.1"))


def tally(network: Network) -> list[tuple[str, str, int, int]]:
    """As the control port tells it."""
    response = Control(network)(Request("GET", "/_sandbox/tally", "", {}, b"", "127.0.0.1"))
    assert isinstance(response.body, bytes)
    return [tuple(line.values()) for line in json.loads(response.body)["tally"]]


def test_the_tally_has_one_line_for_each_host_method_and_status(network: Network) -> None:
    record(network, "pds", 200, times=1000)
    record(network, "pds", 429)
    record(network, "pds2", 200)
    assert tally(network) == [("pds", LOGIN, 200, 1000), ("pds", LOGIN, 429, 1), ("pds2", LOGIN, 200, 1)]


def test_a_reset_begins_a_new_tally(network: Network) -> None:
    record(network, "pds", 200)
    network.reset()
    assert tally(network) == []
