"""The door: one request out, one bounded answer back."""

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import httpcore
import httpx
import orjson

from connections.settings import Settings
from worker import spans
from worker.egress.errors import BadAnswer, DeadlineExceeded, UrlRefused
from worker.egress.exchange import Response
from worker.egress.policy import Destinations, Policy
from worker.egress.resolver import DnsResolver, Resolver
from worker.egress.transport import GuardedTransport
from worker.pace import Pace, Unpaced

REDIRECTS = frozenset({301, 302, 303, 307, 308})

STRANGERS_HOST = Policy()

_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "connector"}


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
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        self._pace = pace or Unpaced()
        # The one that was used last is used next: as many as there are requests at the same time, however many threads.
        self._idle: deque[GuardedTransport] = deque()

    def request(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float,
        policy: Policy = STRANGERS_HOST,
        login_of: str | None = None,
        least: float = 0.0,
        template: str | None = None,
    ) -> Response:
        """Sends one request and reads the whole answer by `deadline`, a `time.monotonic()` instant. With fewer than
        `least` seconds left, once its turn has come, it is not begun.

        The body is `json`, or `content`, which is JSON already. `login_of` is the account that it logs in to, if it
        does. `template` is what traces call the URL. Any status is an answer, redirects that `policy` does not follow
        among them. Raises `EgressError`, and `OutOfBudget` when the
        host has had as many requests as it allows, or the account as many logins.
        """
        body = content if json is None else orjson.dumps(json)
        if policy.redirects and (method != "GET" or body or headers):
            raise ValueError("only a bare GET may follow redirects")
        lines = {**_HEADERS, **(headers or {})}
        if body:
            lines |= {"content-type": "application/json", "content-length": str(len(body))}
        target = _parse(url)
        for _ in range(policy.redirects + 1):
            host = target.netloc.decode("ascii").lower()
            with self._pace.request(host, method, deadline=deadline, login_of=login_of) as answered:
                if deadline - time.monotonic() < least:
                    raise DeadlineExceeded("too little time is left to begin")
                with spans.call(method, target, template) as span, self._transport() as transport:
                    response = transport.send(
                        method, target, {"host": host, **lines}, body, deadline=deadline, policy=policy
                    )
                    span.note({"http.response.status_code": response.status})
                answered(response.status, response.headers)
            if not policy.redirects or response.status not in REDIRECTS or "location" not in response.headers:
                return response
            target = _parse_relative(response.headers["location"], target)
        raise BadAnswer("redirected too often")

    def texts(self, name: str, *, deadline: float) -> tuple[bytes, ...]:
        """The TXT records of `name`, none if it does not exist. Raises `NameUnavailable` or `DeadlineExceeded`."""
        with spans.dns_question("TXT"):
            return self._resolver.texts(name, deadline=deadline)

    def close(self) -> None:
        """Closes all connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transport(self) -> Iterator[GuardedTransport]:
        try:
            transport = self._idle.pop()
        except IndexError:
            transport = GuardedTransport(self._destinations, self._resolver, self._connector, self._ssl_context)
        try:
            yield transport
        finally:
            self._idle.append(transport)


@lru_cache(maxsize=1024)
def _parse(url: str) -> httpx.URL:
    """Most requests go to one of a few addresses."""
    return _parsed(lambda: httpx.URL(url))


def _parse_relative(url: str, base: httpx.URL) -> httpx.URL:
    return _parsed(lambda: base.join(url))


def _parsed(parse: Callable[[], httpx.URL]) -> httpx.URL:
    try:
        url = parse()
        _ = url.host  # decoded only now, and xn--a.com is no name
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise UrlRefused("not a URL") from exc
    return url
