"""Where the hosted form may send people back to: URLs below a prefix that their workspace has named.

Only what every parser reads alike is a URL here, and without dot segments. So a browser goes nowhere else than to what
was compared.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from connections.urls import WEB_URL

MAX_LENGTH = 2048

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})

# A decoded slash or backslash is a slash to some servers.
_SLASH = re.compile(r"[/\\]")


class _Url(NamedTuple):
    """What is compared. The origin as RFC 6454 has it, the path as it was written."""

    scheme: str
    host: str
    port: int
    path: str
    has_query: bool


def parse_return_url_prefix(text: str, *, allows_loopback: bool) -> str:
    """The prefix as it is stored: scheme and host in lower case, no default port, a path.

    `allows_loopback` is for development: http, to localhost and 127.0.0.1. Raises `ValueError`, which says for people
    what the prefix must be.
    """
    url = _parse(text)
    if url is None or url.has_query:
        raise ValueError("must look like https://app.example.com/path, without user, query, fragment or dot segments")
    if url.scheme != "https" and not (allows_loopback and url.host in _LOOPBACK):
        raise ValueError("must begin with https://")
    port = "" if url.port == _DEFAULT_PORTS[url.scheme] else f":{url.port}"
    return f"{url.scheme}://{url.host}{port}{url.path}"


def is_allowed(url: str, prefixes: Iterable[str]) -> bool:
    """Whether the URL has the origin of one of the prefixes, as `parse_return_url_prefix` gives them, and its path is
    that of the prefix or below it. It may have a query, and no fragment."""
    wanted = _parse(url)
    return wanted is not None and any(_is_below(wanted, prefix) for prefix in map(_parse, prefixes))


def _is_below(url: _Url, prefix: _Url | None) -> bool:
    if prefix is None or url[:3] != prefix[:3]:
        return False
    folder = prefix.path if prefix.path.endswith("/") else f"{prefix.path}/"
    return url.path == prefix.path or url.path.startswith(folder)


def _parse(text: str) -> _Url | None:
    match = WEB_URL.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        return None
    scheme, path = match["scheme"].lower(), match["path"] or "/"
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 65536 or not {".", ".."}.isdisjoint(_SLASH.split(unquote(path))):
        return None
    return _Url(scheme, match["host"].lower(), port, path, has_query=match["query"] is not None)
