"""What is known without asking a nameserver. Sockets are blocked, so asking one would fail these tests."""

import time

import pytest

from worker.egress import DeadlineExceeded, DnsResolver, NoSuchName


@pytest.fixture
def resolver() -> DnsResolver:
    return DnsResolver(("127.0.0.1:53", "[::1]:5353"))


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("93.184.216.34", ("93.184.216.34",)),
        ("::1", ("::1",)),
        ("2001:DB8::0:1", ("2001:db8::1",)),
        ("localhost", ("127.0.0.1", "::1")),
        ("LocalHost.", ("127.0.0.1", "::1")),
        ("anything.localhost", ("127.0.0.1", "::1")),
    ],
)
def test_literals_and_loopback(resolver: DnsResolver, host: str, addresses: tuple[str, ...]) -> None:
    assert resolver.addresses(host, deadline=time.monotonic() + 1) == addresses


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "a." * 130 + "example"])
def test_names_the_dns_cannot_hold(resolver: DnsResolver, host: str) -> None:
    with pytest.raises(NoSuchName):
        resolver.addresses(host, deadline=time.monotonic() + 1)


def test_no_time_left(resolver: DnsResolver) -> None:
    with pytest.raises(DeadlineExceeded):
        resolver.addresses("host.example", deadline=time.monotonic() - 1)
    with pytest.raises(DeadlineExceeded):
        resolver.texts("host.example", deadline=time.monotonic() - 1)
