"""What can go wrong on the way out, one tree.

    EgressError
    ├── NotAllowed             refused before a byte was sent
    │   ├── UrlRefused         scheme, port or shape of the URL
    │   └── AddressRefused     the name has an address that is not public
    ├── NoSuchName             the name does not exist, or has no address: asking again changes nothing
    ├── Unreachable            worth another try
    │   ├── NameUnavailable    the nameservers failed or kept silent
    │   ├── ConnectFailed      no address took the connection
    │   │   └── TlsFailed      it did, but its certificate or handshake is not acceptable
    │   ├── ConnectionLost     broken off midway
    │   └── DeadlineExceeded   time ran out
    └── BadAnswer              not HTTP as asked for: broken framing, compressed, redirected too often
        └── TooLarge           more bytes than the caller's policy takes

Texts name hosts and addresses at most: never a path, a header or a body, which can hold secrets.
"""


class EgressError(Exception):
    """A request did not bring back a usable answer."""


class NotAllowed(EgressError):
    """The guard refused the destination."""


class UrlRefused(NotAllowed):
    """The URL's scheme, port or shape is not one we call."""


class AddressRefused(NotAllowed):
    """One of the name's addresses is not public."""


class NoSuchName(EgressError):
    """The name does not exist or has no address."""


class Unreachable(EgressError):
    """Nobody answered this time."""


class NameUnavailable(Unreachable):
    """The nameservers could not say."""


class ConnectFailed(Unreachable):
    """No address accepted the connection."""


class TlsFailed(ConnectFailed):
    """The host's certificate or handshake is not acceptable."""


class ConnectionLost(Unreachable):
    """The connection broke before the answer was complete."""


class DeadlineExceeded(Unreachable):
    """Time ran out before the answer was complete."""


class BadAnswer(EgressError):
    """The answer is not what HTTP promises or what we asked for."""


class TooLarge(BadAnswer):
    """The answer has more bytes than we take."""
