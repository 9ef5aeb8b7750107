"""Names to addresses and TXT records, over dnspython: bounded by a deadline, honest about "no" against "no answer"."""

import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from worker.egress.errors import DeadlineExceeded, NameUnavailable, NoSuchName
from worker.ttl_cache import TtlCache

LOOPBACK_NAME = "localhost"
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")

# Seconds. One lookup asks each nameserver for `TRY` at most and gives up after `LOOKUP`. Once the IPv4 addresses are
# known, servers that keep silent about IPv6, and there are many, get no more than `EXTRA`.
TRY_SECONDS = 1.5
LOOKUP_SECONDS = 4.0
EXTRA_SECONDS = 1.0

# Between two rounds dnspython sleeps without looking at the clock, at most so long within `LOOKUP_SECONDS`.
OVERSLEEP_SECONDS = 0.4

CACHED_NAMES = 4096
LONGEST_KEPT_SECONDS = 300.0
MAX_ADDRESSES = 64


class Resolver(Protocol):
    """What egress asks of the DNS. Used by many threads at once; `deadline` is a `time.monotonic()` instant."""

    def addresses(self, host: str, *, deadline: float) -> tuple[str, ...]:
        """Every address of `host`, at least one. Raises `NoSuchName`, `NameUnavailable` or `DeadlineExceeded`."""
        ...

    def texts(self, name: str, *, deadline: float) -> tuple[bytes, ...]:
        """The TXT records of `name`, each joined from its strings; empty when there is none or no such name.

        Raises `NameUnavailable` or `DeadlineExceeded`.
        """
        ...


class DnsResolver:
    """Asks the given nameservers (`address:port`), or the system's when none is given.

    Addresses are kept for the time their records allow, and nothing else of the answers: dnspython's own cache would
    keep whole messages, which strangers fill. TXT records are not kept: who asks for them keeps what they mean.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """Raises `dns.resolver.NoResolverConfiguration` when no server is given and the system names none either."""
        self._client = _client(servers)
        self._known: TtlCache[str, tuple[str, ...]] = TtlCache(CACHED_NAMES)

    def addresses(self, host: str, *, deadline: float) -> tuple[str, ...]:
        known = _known_without_dns(host)
        if known:
            return known
        remembered = self._known.get(host)
        if remembered:
            return remembered.value
        found: list[str] = []
        seconds = LONGEST_KEPT_SECONDS
        failure: NameUnavailable | None = None
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            patience = EXTRA_SECONDS if found else LOOKUP_SECONDS
            try:
                answer = _query(self._client, host, kind, deadline, patience)
            except NameUnavailable as exc:
                failure = exc
                continue
            if answer is not None:
                found += [record.to_text() for record in answer]
                seconds = min(seconds, float(answer.chaining_result.minimum_ttl))
        if not found:
            raise failure or NoSuchName(f"{host} has no address")
        if len(found) > MAX_ADDRESSES:
            raise NameUnavailable(f"{host} has more addresses than a host can need")
        if failure is None:
            self._known.put(host, tuple(found), seconds)
        return tuple(found)

    def texts(self, name: str, *, deadline: float) -> tuple[bytes, ...]:
        try:
            answer = _query(self._client, name, dns.rdatatype.TXT, deadline, LOOKUP_SECONDS)
        except NoSuchName:
            return ()
        return tuple(b"".join(record.strings) for record in answer or () if isinstance(record, TXT))


def _known_without_dns(host: str) -> tuple[str, ...]:
    """Literals stand for themselves, and `localhost` never reaches a nameserver (RFC 6761)."""
    name = host.rstrip(".").lower()
    if name == LOOPBACK_NAME or name.endswith("." + LOOPBACK_NAME):
        return LOOPBACK_ADDRESSES
    try:
        return (str(ip_address(host)),)
    except ValueError:
        return ()


def _client(servers: Sequence[str]) -> dns.resolver.Resolver:
    client = dns.resolver.Resolver(configure=not servers)
    if servers:
        client.nameservers = [_nameserver(server) for server in servers]
    client.timeout = TRY_SECONDS
    return client


def _nameserver(server: str) -> dns.nameserver.Nameserver:
    address, _, port = server.rpartition(":")
    return dns.nameserver.Do53Nameserver(address.strip("[]"), int(port))


def _query(
    client: dns.resolver.Resolver, host: str, kind: dns.rdatatype.RdataType, deadline: float, patience: float
) -> dns.resolver.Answer | None:
    """None when the name has no such records."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise DeadlineExceeded("no time left to look up a name")
    try:
        # Absolute, so that the system's search list can't append a domain to a stranger's name.
        name = dns.name.from_text(host, dns.name.root)
    except dns.exception.DNSException as exc:
        raise NoSuchName("not a name the DNS could hold") from exc
    lifetime = min(patience, max(remaining - OVERSLEEP_SECONDS, remaining / 2))
    try:
        return client.resolve(name, kind, lifetime=lifetime, search=False)
    except dns.resolver.NXDOMAIN as exc:
        raise NoSuchName(f"{host} does not exist") from exc
    except dns.resolver.NoAnswer:
        return None
    except (dns.exception.DNSException, OSError) as exc:
        raise NameUnavailable(f"the nameservers did not answer for {host}") from exc
