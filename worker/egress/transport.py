"""Connections that reach only what they may, for one request at a time.

A pool that is shared by threads costs several times the CPU: it looks at every connection under a lock for every
request.
"""

import ssl
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, cast

import httpcore
import httpx

from worker.egress.errors import BadAnswer, ConnectFailed, ConnectionLost, DeadlineExceeded, EgressError
from worker.egress.network import Budget, GuardedBackend
from worker.egress.policy import Destinations, Policy
from worker.egress.resolver import Resolver

# Connections kept alive: one meets the directory, the entryway and a few busy hosts again and again.
MAX_CONNECTIONS = 8
KEEP_ALIVE_SECONDS = 20.0

# Bytes of header and chunk framing beside the body. httpcore itself ends at 100 KiB of headers.
FRAMING_BYTES = 128 * 1024

FAILURES: dict[type[Exception], type[EgressError]] = {
    httpcore.TimeoutException: DeadlineExceeded,
    httpcore.ConnectError: ConnectFailed,
    httpcore.NetworkError: ConnectionLost,
    httpcore.ProtocolError: BadAnswer,
}


class Answer(NamedTuple):
    """An answer whose body is still to be read."""

    status: int
    headers: Iterable[tuple[bytes, bytes]]
    body: Iterable[bytes]


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
        # Two pools, so that a stranger's URL can never ride on a connection that was opened unchecked.
        self._pools = {
            is_exempt: httpcore.ConnectionPool(
                ssl_context=ssl_context,
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
                network_backend=GuardedBackend(resolver, connector, self._budget, checks_addresses=not is_exempt),
            )
            for is_exempt in (True, False)
        }
        # It may be forgotten without a word; the connections end with it.
        weakref.finalize(self, _close, tuple(self._pools.values()))

    @contextmanager
    def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        body: bytes,
        *,
        deadline: float,
        policy: Policy,
    ) -> Iterator[Answer]:
        """Gives the answer as it arrives; `deadline`, a `time.monotonic()` instant, is for all of it."""
        pool = self._pools[self._destinations.is_exempt(url, policy)]
        self._budget.start(deadline=deadline, max_bytes=policy.max_body + FRAMING_BYTES, has_body=bool(body))
        request = httpcore.Request(
            method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
            content=body,
        )
        with _own_errors():
            answer = pool.handle_request(request)
        try:
            yield Answer(answer.status, answer.headers, _body(answer))
        finally:
            answer.close()

    def close(self) -> None:
        _close(tuple(self._pools.values()))


def _body(answer: httpcore.Response) -> Iterator[bytes]:
    with _own_errors():
        yield from cast(Iterable[bytes], answer.stream)


def _close(pools: tuple[httpcore.ConnectionPool, ...]) -> None:
    for pool in pools:
        pool.close()


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except tuple(FAILURES) as exc:
        kind = next(own for foreign, own in FAILURES.items() if isinstance(exc, foreign))
        raise kind(f"{type(exc).__name__} on the way out") from exc
