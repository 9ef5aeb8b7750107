"""The door: one request out, one bounded answer back."""

import ssl
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpcore
import httpx

from connections.settings import Settings
from worker.egress.errors import BadAnswer, TooLarge, UrlRefused
from worker.egress.policy import Destinations, Policy
from worker.egress.resolver import DnsResolver, Resolver
from worker.egress.transport import GuardedTransport
from worker.pace import Pace, Unpaced

REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_COMPRESSED = frozenset({"", "identity"})

# A chunk may be a byte long, and costs more to read than it carries: the longest body in them, half a second of CPU.
MAX_PIECES = 4096

STRANGERS_HOST = Policy()


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, complete. Its headers and body can hold tokens, so neither is printed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Egress:
    """The only way out of the worker. Used by many threads at once.

    There is no `httpx.Client` here on purpose: its cookie jar, redirects, environment proxies and netrc would each have
    to be switched off, and what is not there cannot be switched on by mistake.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resolver: Resolver | None = None,
        connector: httpcore.NetworkBackend | None = None,
        ssl_context: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`connector` opens the sockets; it is given checked addresses, never names. `pace` lets each request begin."""
        self._destinations = Destinations(settings)
        self._resolver = resolver or DnsResolver(settings.dns_servers)
        self._connector = connector or httpcore.SyncBackend()
        # One for all threads: loading the authorities takes 17 ms.
        self._ssl_context = ssl_context or httpx.create_ssl_context(trust_env=False)
        self._pace = pace or Unpaced()
        self._mine = threading.local()
        self._transports: weakref.WeakSet[GuardedTransport] = weakref.WeakSet()
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        deadline: float,
        policy: Policy = STRANGERS_HOST,
    ) -> Response:
        """Sends one request and reads the whole answer by `deadline`, a `time.monotonic()` instant.

        Any status is an answer, redirects that `policy` does not follow among them. Raises `EgressError`, and
        `OutOfBudget` when the host has had as many requests as it allows.
        """
        if policy.redirects and (method != "GET" or json is not None or headers):
            raise ValueError("only a bare GET may follow redirects")
        target = _parse(url)
        for _ in range(policy.redirects + 1):
            request = httpx.Request(
                method,
                target,
                json=json,
                headers={"accept-encoding": "identity", "user-agent": "connector", **(headers or {})},
                extensions={"deadline": deadline, "policy": policy},
            )
            response = self._exchange(request, policy.max_body)
            if not policy.redirects or response.status not in REDIRECTS or "location" not in response.headers:
                return response
            target = _parse(response.headers["location"], base=target)
        raise BadAnswer("redirected too often")

    def texts(self, name: str, *, deadline: float) -> tuple[bytes, ...]:
        """The TXT records of `name`, none if it does not exist. Raises `NameUnavailable` or `DeadlineExceeded`."""
        return self._resolver.texts(name, deadline=deadline)

    def close(self) -> None:
        """Closes every thread's connections."""
        with self._lock:
            for transport in self._transports:
                transport.close()

    def _exchange(self, request: httpx.Request, max_body: int) -> Response:
        host = request.url.netloc.decode("ascii").lower()
        deadline: float = request.extensions["deadline"]
        with self._pace.request(host, request.method, deadline=deadline) as answered:
            answer = self._transport().handle_request(request)
            try:
                response = Response(answer.status_code, answer.headers, _read(answer, max_body))
            finally:
                answer.close()
            answered(response.status, response.headers)
        return response

    def _transport(self) -> GuardedTransport:
        transport: GuardedTransport | None = getattr(self._mine, "transport", None)
        if transport is None:
            transport = GuardedTransport(self._destinations, self._resolver, self._connector, self._ssl_context)
            self._mine.transport = transport
            with self._lock:
                self._transports.add(transport)
        return transport


def _parse(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        parsed = base.join(url) if base else httpx.URL(url)
        _ = parsed.host  # decoded only now, and xn--a.com is no name
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise UrlRefused("not a URL") from exc
    return parsed


def _read(answer: httpx.Response, max_body: int) -> bytes:
    # Asked for as it is. Unpacking what comes packed all the same is how 300 kB become 300 MB.
    if answer.headers.get("content-encoding", "").strip().lower() not in NOT_COMPRESSED:
        raise BadAnswer("the answer is compressed although identity was asked for")
    body = bytearray()
    for pieces, chunk in enumerate(answer.iter_raw(), start=1):
        body += chunk
        if len(body) > max_body or pieces > MAX_PIECES:
            raise TooLarge("the body is longer than allowed, or in too many pieces")
    return bytes(body)
