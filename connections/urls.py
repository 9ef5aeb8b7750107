"""Addresses: how budgets name a host, and whether a setting is one of the kind that those who use it can read.

Each `is_…` looks at the whole text.
"""

import re
from ipaddress import ip_address

_PORT = r"(?::(?P<port>[0-9]{1,5}))?"
_NAME = r"\w[\w.-]*"
_IPV6 = r"\[[0-9A-Fa-f:.]+\]"

_ORIGIN = re.compile(rf"(?i:https?)://(?:{_NAME}|{_IPV6}){_PORT}/?", re.ASCII)
# As SQLAlchemy reads it: a password may be written as it is, and the host may be an encoded path of a socket.
_POSTGRES = re.compile(rf"[a-z+]+://(?:[^:/]*(?::[^@]*)?@)?(?:\[[^]/?]+\]|[^]/:?[]+)?{_PORT}(?:[/?].*)?")
# As redis-py and kombu read it: a password is percent-encoded, the path is the number of a database.
_REDIS = re.compile(rf"[a-z]+://(?:[^][/?#@]*@)?(?:{_NAME}|{_IPV6})?{_PORT}(?:/[0-9]{{0,5}})?(?:\?[^#\s]*)?", re.ASCII)
# As kombu reads it: user, password and virtual host are percent-encoded, a query could turn the checks of TLS off.
_AMQP_TEXT = r"[A-Za-z0-9._~!$&'()*+,=:%-]*"
_AMQP = re.compile(rf"amqps?://(?:{_AMQP_TEXT}@)?(?:{_NAME}|{_IPV6}){_PORT}(?:/(?:/|{_AMQP_TEXT}))?", re.ASCII)
# What every parser reads alike: the characters of RFC 3986, a plain name for a host, no user, no fragment.
_WEB_TEXT = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})"
WEB_URL = re.compile(
    r"(?P<scheme>(?i:https?))://(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<path>/{_WEB_TEXT}*)?(?P<query>\?(?:{_WEB_TEXT}|\?)*)?"
)
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}
_ADDRESS = re.compile(r"(?P<host>\[[^]]+\]|[^]:[]+):(?P<port>[0-9]{1,5})")


def host_of(origin: str) -> str:
    """The host of `scheme://host[:port]` as budgets are kept for it: in lower case, with its port unless that is the
    scheme's own.
    """
    scheme, _, host = origin.lower().partition("://")
    return host.removesuffix(_DEFAULT_PORTS[scheme])


def is_origin(text: str) -> bool:
    """`https://host:port` or http, without user, path or query; one slash at the end is none."""
    return _has_port(_ORIGIN.fullmatch(text))


def is_https_url(text: str) -> bool:
    """`https://host:port/path?query` for people and browsers, without user or fragment."""
    match = WEB_URL.fullmatch(text)
    return match is not None and match["scheme"].lower() == "https" and _has_port(match)


def is_postgres_url(text: str) -> bool:
    """`postgresql://user:password@host:port/name`, of any driver."""
    return _has_port(_POSTGRES.fullmatch(text))


def is_redis_url(text: str) -> bool:
    """`redis://user:password@host:port/0`, with or without TLS."""
    return _has_port(_REDIS.fullmatch(text))


def is_amqp_url(text: str) -> bool:
    """`amqp://user:password@host:port/vhost`, with or without TLS."""
    return _has_port(_AMQP.fullmatch(text))


def is_address(text: str) -> bool:
    """`127.0.0.1:53` or `[::1]:53`."""
    match = _ADDRESS.fullmatch(text)
    return _has_port(match) and match is not None and _is_host(match["host"])


def _has_port(match: re.Match[str] | None) -> bool:
    return match is not None and (match["port"] is None or 0 < int(match["port"]) < 65536)


def _is_host(text: str) -> bool:
    try:
        return ip_address(text.strip("[]")).version == (6 if text.startswith("[") else 4)
    except ValueError:
        return False
