"""The one job that everybody does: one `com.atproto.server.createSession`, whose outcome is kept.

How it is done is the same everywhere, httpx and one TLS context a process; what differs is whether a process has one
client for everything or one for each job in flight. Worker processes import this, so it imports little.
"""

import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

SLOTS = 64
"""Jobs in flight, of every contender but prefork."""

PATH = "/xrpc/com.atproto.server.createSession"
TIMEOUT_SECONDS = 30.0

Kept = dict[str, str]
"""`did`, `handle`, `access_token`, `refresh_token`: strings, so that every queue can keep it."""


class Clients(StrEnum):
    """How many httpx clients a process has."""

    SHARED = "shared"
    PER_SLOT = "per-slot"


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials of an account of the upstream."""

    identifier: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Job:
    """Where to log in (`url`), what to check certificates against (`ca`, a path; empty without TLS), and how."""

    url: str
    ca: str
    clients: Clients

    @classmethod
    def from_environment(cls) -> "Job":
        """As `to_environment` of the process that started this one has left it."""
        return cls(os.environ["BENCH_UPSTREAM"], os.environ["BENCH_CA"], Clients(os.environ["BENCH_CLIENTS"]))

    def to_environment(self) -> Mapping[str, str]:
        return {"BENCH_UPSTREAM": self.url, "BENCH_CA": self.ca, "BENCH_CLIENTS": self.clients}

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca or None)


class Bluesky:
    """Does the job in threads."""

    def __init__(self, job: Job) -> None:
        self._job, self._tls = job, job.tls()
        # The client that was used last goes first. Appending to a list and popping from it need no lock.
        self._idle: list[httpx.Client] = []
        self._shared = self._new_client() if job.clients is Clients.SHARED else None

    def connect(self, identifier: str, password: str) -> Kept:
        """Raises `httpx.HTTPError` when it fails."""
        with self._client() as client:
            return _kept(client.post(PATH, json={"identifier": identifier, "password": password}))

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        if self._shared is not None:
            yield self._shared
            return
        client = self._idle.pop() if self._idle else self._new_client()
        yield client
        self._idle.append(client)

    def _new_client(self) -> httpx.Client:
        return httpx.Client(base_url=self._job.url, verify=self._tls, timeout=TIMEOUT_SECONDS, trust_env=False)


class AsyncBluesky:
    """Does the job in tasks of one event loop."""

    def __init__(self, job: Job) -> None:
        self._job, self._tls = job, job.tls()
        self._idle: list[httpx.AsyncClient] = []
        self._shared = self._new_client() if job.clients is Clients.SHARED else None

    async def connect(self, identifier: str, password: str) -> Kept:
        """Raises `httpx.HTTPError` when it fails."""
        async with self._client() as client:
            return _kept(await client.post(PATH, json={"identifier": identifier, "password": password}))

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        if self._shared is not None:
            yield self._shared
            return
        client = self._idle.pop() if self._idle else self._new_client()
        yield client
        self._idle.append(client)

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._job.url, verify=self._tls, timeout=TIMEOUT_SECONDS, trust_env=False)


def _kept(answer: httpx.Response) -> Kept:
    session = answer.raise_for_status().json()
    return {
        "did": session["did"],
        "handle": session["handle"],
        "access_token": session["accessJwt"],
        "refresh_token": session["refreshJwt"],
    }
