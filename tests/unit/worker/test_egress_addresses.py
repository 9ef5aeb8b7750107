from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.egress.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "1.1.1.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.254",
        "2606:2800:220:1::1",
        "2a00:1450:4001::1",
        "2001:200::1",
        "3ffe::1",
        "3fff:1000::1",
    ],
)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        # IPv4: this host, private, shared, loopback, link-local (metadata), documentation, benchmarking, the top.
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.9",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        # IPv6: unspecified, loopback, IPv4 in every dress, local, documentation, multicast.
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:93.184.216.34",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:2800:220:1::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        # No literal at all, or one that only some parsers read.
        "",
        "localhost",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "1.1.1.1 ",
        "[::1]",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses())
def test_whatever_is_public_is_global_unicast_and_no_ipv4_in_disguise(address: IPv4Address | IPv6Address) -> None:
    if not is_public(str(address)):
        return
    assert address.is_global
    assert not any((address.is_multicast, address.is_loopback, address.is_link_local, address.is_private))
    if isinstance(address, IPv6Address):
        assert address in IPv6Network("2000::/3")
        assert address.ipv4_mapped is None
        assert address.sixtofour is None
        assert address.teredo is None


@given(st.ip_addresses(v=4))
def test_no_ipv6_spelling_opens_an_ipv4_address(address: IPv4Address) -> None:
    for prefix in ("::ffff:0:0/96", "::/96", "64:ff9b::/96"):
        spelling = ip_network(prefix)[int(address)]
        assert not is_public(str(spelling))
    assert not is_public(str(ip_address((0x2002 << 112) | (int(address) << 80))))
