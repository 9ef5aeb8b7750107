"""Connections that reach only what they may, for one request at a time.

A pool that is shared by threads costs several times the CPU: it looks at every connection under a lock for every
request.
"""

import re
import ssl
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import httpcore
import httpx

from worker.egress.errors import ConnectFailed, ConnectionLost, DeadlineExceeded, EgressError, NotAllowed
from worker.egress.exchange import Response, exchange
from worker.egress.network import Budget, GuardedBackend
from worker.egress.policy import STANDARD_PORTS, Destinations, Policy
from worker.egress.resolver import Resolver

# Connections kept alive: one meets the directory, the entryway and a few busy hosts again and again.
MAX_CONNECTIONS = 8
KEEP_ALIVE_SECONDS = 20.0

# Bytes of headers, trailers and chunk framing beside the body.
FRAMING_BYTES = 128 * 1024

_TARGET = re.compile(rb"[\x21-\x7e]+")
_FIELD_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")

FAILURES: dict[type[Exception], type[EgressError]] = {
    httpcore.TimeoutException: DeadlineExceeded,
    httpcore.ConnectError: ConnectFailed,
    httpcore.NetworkError: ConnectionLost,
}


class _Origin(NamedTuple):
    """Where a connection leads. A stranger's URL never rides on one that was opened unchecked: `is_exempt`."""

    scheme: str
    host: str
    port: int
    is_exempt: bool


class _Idle(NamedTuple):
    stream: httpcore.NetworkStream
    since: float

    @property
    def is_usable(self) -> bool:
        """What can be read on an idle connection is its end, or an answer that nobody has asked for."""
        is_young = time.monotonic() < self.since + KEEP_ALIVE_SECONDS
        return is_young and not self.stream.get_extra_info("is_readable")


class GuardedTransport:
    """Sends requests and raises `EgressError`, and nothing else, for what happens outside."""

    def __init__(
        self,
        destinations: Destinations,
        resolver: Resolver,
        connector: httpcore.NetworkBackend,
        ssl_context: ssl.SSLContext,
    ) -> None:
        self._destinations = destinations
        self._budget = Budget()
        self._ssl_context = ssl_context
        self._backends = {
            is_exempt: GuardedBackend(resolver, connector, self._budget, checks_addresses=not is_exempt)
            for is_exempt in (True, False)
        }
        self._idle: OrderedDict[_Origin, _Idle] = OrderedDict()
        # It may be forgotten without a word; the connections end with it.
        weakref.finalize(self, _close_all, self._idle)

    def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        body: bytes,
        *,
        deadline: float,
        policy: Policy,
    ) -> Response:
        """`deadline`, a `time.monotonic()` instant, is for all of it."""
        is_exempt = self._destinations.is_exempt(url, policy)
        origin = _Origin(url.scheme, url.raw_host.decode("ascii"), url.port or STANDARD_PORTS[url.scheme], is_exempt)
        self._budget.start(deadline=deadline, max_bytes=policy.max_body + FRAMING_BYTES)
        with _own_errors():
            stream = self._connection(origin)
            is_reusable = False
            try:
                response, is_reusable = exchange(
                    stream, _request(method, url.raw_path, headers, body), max_body=policy.max_body
                )
            finally:
                if is_reusable:
                    self._keep(origin, stream)
                else:
                    stream.close()
        return response

    def close(self) -> None:
        _close_all(self._idle)

    def _connection(self, origin: _Origin) -> httpcore.NetworkStream:
        idle = self._idle.pop(origin, None)
        if idle is not None:
            if idle.is_usable:
                return idle.stream
            idle.stream.close()
        stream = self._backends[origin.is_exempt].connect_tcp(origin.host, origin.port)
        if origin.scheme == "http":
            return stream
        try:
            return stream.start_tls(self._ssl_context, origin.host)
        except BaseException:
            stream.close()
            raise

    def _keep(self, origin: _Origin, stream: httpcore.NetworkStream) -> None:
        self._idle[origin] = _Idle(stream, time.monotonic())
        if len(self._idle) > MAX_CONNECTIONS:
            _, oldest = self._idle.popitem(last=False)
            oldest.stream.close()


def _request(method: str, target: bytes, headers: Mapping[str, str], body: bytes) -> bytes:
    """Head and body, RFC 9112 (3)."""
    values = headers.values()
    if not _TARGET.fullmatch(target) or not all(map(_FIELD_VALUE.fullmatch, values)):
        raise NotAllowed("no request that can be written")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method.encode("ascii"), target, lines.encode("ascii"), body)


def _close_all(idle: OrderedDict[_Origin, _Idle]) -> None:
    while idle:
        _, connection = idle.popitem()
        connection.stream.close()


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except tuple(FAILURES) as exc:
        kind = next(own for foreign, own in FAILURES.items() if isinstance(exc, foreign))
        raise kind(f"{type(exc).__name__} on the way out") from exc
