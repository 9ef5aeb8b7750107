"""Sockets that know whom they may reach, how long they may take and how much they may read.

Every connection comes from here and every byte passes here, so the guard sees what no caller can get around: the
address is checked and connected to in one step, so rebinding a name gains nothing, and each read gets only the time and
the bytes that are left, so that a drip of headers, chunks or body ends on time.
"""

import ssl
import time
from collections.abc import Iterable

import httpcore

from worker.egress.addresses import is_public
from worker.egress.errors import AddressRefused, ConnectFailed, DeadlineExceeded, TlsFailed, TooLarge
from worker.egress.resolver import Resolver

# A blackholed address must not eat the whole deadline while the next one would answer.
CONNECT_SECONDS = 3.0
MAX_ADDRESSES_TRIED = 4

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Budget:
    """What is left for the request in flight, of which a transport has one."""

    def __init__(self) -> None:
        self.deadline = 0.0
        self._bytes_left = 0

    def start(self, *, deadline: float, max_bytes: int) -> None:
        """`deadline` is a `time.monotonic()` instant; `max_bytes` counts headers, framing and body of the answer."""
        self.deadline = deadline
        self._bytes_left = max_bytes

    def seconds(self, at_most: float | None = None) -> float:
        """Time for the next step. Raises `DeadlineExceeded` when there is none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("time ran out")
        return left if at_most is None else min(left, at_most)

    def spend(self, count: int) -> None:
        """Counts bytes that arrived. Raises `TooLarge` when they are more than allowed."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise TooLarge("the answer is longer than allowed")


class BoundedStream(httpcore.NetworkStream):
    """A stream on a budget. A timeout is for one step and so no bound at all: there is none to pass."""

    def __init__(self, inner: httpcore.NetworkStream, budget: Budget) -> None:
        self._inner = inner
        self._budget = budget

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - httpcore's signature
        data = self._inner.read(max_bytes, timeout=self._budget.seconds())
        self._budget.spend(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - httpcore's signature
        self._inner.write(buffer, timeout=self._budget.seconds())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature
    ) -> httpcore.NetworkStream:
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, timeout=self._budget.seconds())
        except httpcore.ConnectError as exc:
            raise TlsFailed("the TLS handshake failed") from exc
        return BoundedStream(inner, self._budget)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections to the addresses the resolver names, after checking every one of them."""

    def __init__(
        self, resolver: Resolver, connector: httpcore.NetworkBackend, budget: Budget, *, checks_addresses: bool
    ) -> None:
        self._resolver = resolver
        self._connector = connector
        self._budget = budget
        self._checks_addresses = checks_addresses

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolver.addresses(host, deadline=self._budget.deadline)
        if self._checks_addresses and not all(map(is_public, addresses)):
            raise AddressRefused(f"{host} has an address that is not public")
        failure: Exception | None = None
        for address in addresses[:MAX_ADDRESSES_TRIED]:
            seconds = self._budget.seconds(at_most=CONNECT_SECONDS)
            try:
                inner = self._connector.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return BoundedStream(inner, self._budget)
        raise ConnectFailed(f"no address of {host} accepts a connection") from failure
