"""Which addresses the service may connect to: public unicast, and nothing that only looks like it.

Follows the IANA special-purpose registries (RFC 6890). `ipaddress.is_global` alone is not enough: it lets pass
multicast, NAT64, 6to4, IPv4 dressed up as IPv6 and blocks reserved later than the Python release, and so would reach
private hosts by another spelling.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_GLOBAL_UNICAST = IPv6Network("2000::/3")

_NOT_FOR_US_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Python calls two of them global
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
)

_NOT_FOR_US_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments: Teredo, benchmarking, ORCHID
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4 carries any IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)


def is_public(address: str) -> bool:
    """Whether `address`, a literal as a resolver returns it, may be connected to. Anything unparsable may not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _is_public_v4(parsed) if isinstance(parsed, IPv4Address) else _is_public_v6(parsed)


def _is_public_v4(address: IPv4Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _NOT_FOR_US_V4)
    )


def _is_public_v6(address: IPv6Address) -> bool:
    return (
        address.scope_id is None
        and address in _GLOBAL_UNICAST
        and not any(address in network for network in _NOT_FOR_US_V6)
    )
