"""What may be called, decided before anything is sent."""

from dataclasses import dataclass
from typing import NamedTuple

import httpx

from connections.settings import Settings
from worker.egress.errors import UrlRefused
from worker.egress.resolver import LOOPBACK_ADDRESSES, LOOPBACK_NAME

STANDARD_PORTS = {"http": 80, "https": 443}
PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Policy:
    """What one call may do. The defaults are for a host a stranger named; every grant is spelled out.

    `is_operators`: the URL comes from the service's own settings, so its address may be private.
    `any_port`: https on another port than 443, as a PDS's endpoint may name one.
    `any_loopback`: in development, with a PDS on this machine, also http to whatever listens on loopback here.
    `redirects`: how many a GET may follow, each checked like the first; a request with a body or a token follows none.
    `max_body`: bytes.
    """

    is_operators: bool = False
    any_port: bool = False
    any_loopback: bool = False
    redirects: int = 0
    max_body: int = 256 * 1024


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int | None


def origin_of(url: httpx.URL) -> Origin:
    """The origin, with the names of loopback taken as one: a local PDS says `localhost` where we say `127.0.0.1`."""
    host = url.raw_host.decode("ascii").lower()
    if host in LOOPBACK_ADDRESSES:
        host = LOOPBACK_NAME
    return Origin(url.scheme, host, STANDARD_PORTS.get(url.scheme) if url.port is None else url.port)


class Destinations:
    """The rules for one configuration."""

    def __init__(self, settings: Settings) -> None:
        self._operators = _origins(settings.plc_url, settings.bluesky_url)
        self._grants_loopback = bool(settings.dev_pds_url) and not settings.is_production
        self._development = (
            frozenset()
            if settings.is_production
            else (self._operators | _origins(settings.dev_pds_url, settings.dev_plc_url))
        )

    def is_exempt(self, url: httpx.URL, policy: Policy) -> bool:
        """Whether the address behind `url` goes unchecked, because the operator vouches for exactly this origin.

        Raises `UrlRefused` when `url` may not be called at all. In production a stranger's document gains nothing by
        naming the operator's own host: only calls that take their URL from the settings are exempt.
        """
        if not url.host or url.userinfo:
            raise UrlRefused("a URL needs a host and may not carry credentials")
        origin = origin_of(url)
        if origin in self._development or (policy.is_operators and origin in self._operators):
            return True
        if policy.any_loopback and self._grants_loopback and origin.host == LOOPBACK_NAME:
            return True
        if origin.scheme != "https":
            raise UrlRefused("only https is called")
        if origin.port != STANDARD_PORTS["https"] and not (policy.any_port and origin.port in PORTS):
            raise UrlRefused("not a port that is called")
        return False


def _origins(*urls: str | None) -> frozenset[Origin]:
    return frozenset(origin_of(httpx.URL(url)) for url in urls if url)
