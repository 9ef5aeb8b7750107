"""The only way out: every request to another host passes here.

Hosts come from strangers (a handle's domain, a PDS named in a document), so what may be reached, how long it may take
and how much it may send are decided here once, and hold whatever the other side does.
"""

from worker.egress.client import Egress
from worker.egress.errors import (
    AddressRefused,
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    EgressError,
    NameUnavailable,
    NoSuchName,
    NotAllowed,
    TlsFailed,
    TooLarge,
    Unreachable,
    UrlRefused,
)
from worker.egress.exchange import Response
from worker.egress.policy import Policy
from worker.egress.resolver import DnsResolver, Resolver

__all__ = [
    "AddressRefused",
    "BadAnswer",
    "ConnectFailed",
    "ConnectionLost",
    "DeadlineExceeded",
    "DnsResolver",
    "Egress",
    "EgressError",
    "NameUnavailable",
    "NoSuchName",
    "NotAllowed",
    "Policy",
    "Resolver",
    "Response",
    "TlsFailed",
    "TooLarge",
    "Unreachable",
    "UrlRefused",
]
