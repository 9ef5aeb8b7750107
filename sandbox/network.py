"""The whole network in one process: the directory, the PDSes, DNS, and what they share."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from ssl import SSLContext
from typing import Protocol

from sandbox.accounts import Account, Accounts, plc_did
from sandbox.clock import Clock
from sandbox.compression import compressed
from sandbox.dns import DnsServer, Zone
from sandbox.host import Host, HostSettings
from sandbox.ledger import Entry, Ledger
from sandbox.limits import Limits
from sandbox.message import Request, Response
from sandbox.orders import FaultBook, strike
from sandbox.pds import Pds
from sandbox.plc import Directory, did_document
from sandbox.server import LOOPBACK, HttpServer
from sandbox.tls import server_context
from sandbox.tokens import Tokens

PLC = "plc"
ENTRYWAY = "entryway"

CROWD_PASSWORD = "abcd-efgh-2345-wxyz"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to create; what is left out gets a default (`host`: the first PDS, `did`: one made of the handle)."""

    handle: str
    app_password: str | None = None
    password: str | None = None
    host: str | None = None
    did: str | None = None
    email: str | None = None
    display_name: str = ""
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How the network starts. Ports of 0 mean free ones; `hostname` stands in the URLs, as the real dev-env's do.

    `crowd` is the number of accounts besides those of `accounts`, see `crowd`. With `tls_directory` the directory and
    all hosts speak https, with a certificate for `hostname` and `hosted_domain`; see `sandbox.tls`. `hosted_domain`
    is a further name of the entryway in the DNS, as if it were the hosted service's.
    """

    pds_ports: tuple[int, ...] = (0,)
    plc_port: int = 0
    dns_port: int = 0
    entryway_port: int | None = None
    hostname: str = "localhost"
    hosted_domain: str | None = None
    tls_directory: Path | None = None
    login_delay: float = 0.0
    did_doc: bool = False
    limits: bool = False
    limits_scale: float = 1.0
    retry_after: bool = False
    accounts: tuple[NewAccount, ...] = field(default=(), repr=False)
    crowd: int = 0


def crowd(count: int, hosts: Collection[str]) -> Iterator[NewAccount]:
    """`user0.test`, `user1.test` and so on, all with one app password, on the hosts in turns."""
    for number, host in enumerate(islice(cycle(hosts), count)):
        yield NewAccount(f"user{number}.test", app_password=CROWD_PASSWORD, host=host)


class App(Protocol):
    """What answers behind a host's faults."""

    def identify(self, request: Request) -> tuple[str, str | None]:
        """Method and account of a request."""
        ...

    def __call__(self, request: Request) -> Response:
        """The usual answer."""
        ...


class Network:
    """Starts, holds and resets the servers. `hosts` are the PDSes by name: pds, pds2, …, and entryway."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self.zone = Zone()
        self.clock = Clock()
        self.ledger = Ledger()
        self.faults = FaultBook()
        self.accounts = Accounts()
        self.directory = Directory()
        self.hosts: dict[str, Host] = {}
        self.plc_url = ""
        self._dns = DnsServer(self.zone)
        self._servers: list[HttpServer] = []
        self._tls: SSLContext | None = None

    @property
    def dns_address(self) -> str:
        """`127.0.0.1:port` of the DNS server."""
        return f"{LOOPBACK}:{self._dns.port}"

    async def start(self) -> None:
        """Listen everywhere, then create the accounts. Raises OSError when a port is taken."""
        settings = self.settings
        if settings.tls_directory is not None:
            names = filter(None, (settings.hostname, settings.hosted_domain))
            self._tls = server_context(settings.tls_directory, names)
        self.plc_url = await self._serve(PLC, self.directory, settings.plc_port)
        for number, port in enumerate(settings.pds_ports, start=1):
            await self._start_host("pds" if number == 1 else f"pds{number}", port)
        if settings.entryway_port is not None:
            await self._start_host(ENTRYWAY, settings.entryway_port, entryway=True)
        await self._dns.start(settings.dns_port)
        self._share_tokens()
        self._name_hosted_service()
        self._create_first_accounts()

    async def close(self) -> None:
        """Stop every server."""
        for server in self._servers:
            await server.close()
        await self._dns.close()

    def reset(self) -> None:
        """Everything as it was after the start, on the same ports; the clock too, except that it never goes back."""
        self.zone.clear()
        self.ledger.clear()
        self.faults.clear()
        self.accounts.clear()
        self.directory.clear()
        for host in self.hosts.values():
            host.tokens = Tokens(self.clock, host.did)
            host.limits = self._new_limits()
            host.settings = self._host_settings()
        self._share_tokens()
        self._name_hosted_service()
        self._create_first_accounts()

    def create(self, new: NewAccount) -> Account:
        """Create an account, its document and its DNS records. Raises ValueError for a taken name or unknown host."""
        host = self.hosts.get(new.host or next(iter(self.hosts)))
        if host is None:
            raise ValueError(f"there is no host {new.host}")
        handle = new.handle.lower()
        account = Account(
            new.did or plc_did(handle),
            handle,
            new.email or f"{handle.partition('.')[0]}@mail.{handle}",
            new.password or "main-password-of-" + handle,
            host.name,
            display_name=new.display_name,
        )
        account.add_app_password("sandbox", privileged=new.privileged, password=new.app_password)
        self.accounts.add(account)
        self.directory.put(account.did, did_document(account.did, handle, host.url))
        self.zone.put(f"_atproto.{handle}", {"TXT": [f'"did={account.did}"']})
        self.zone.put(handle, {"A": [LOOPBACK]})
        return account

    def _share_tokens(self) -> None:
        """An entryway and its PDSes honour each other's tokens; PDSes on their own do not."""
        entryway = self.hosts.get(ENTRYWAY)
        if entryway is not None:
            for host in self.hosts.values():
                host.tokens = entryway.tokens

    def _name_hosted_service(self) -> None:
        if self.settings.hosted_domain is not None:
            self.zone.put(self.settings.hosted_domain, {"A": [LOOPBACK]})

    def _create_first_accounts(self) -> None:
        for new in self.settings.accounts:
            self.create(new)
        for new in crowd(self.settings.crowd, [name for name in self.hosts if name != ENTRYWAY]):
            self.create(new)

    async def _start_host(self, name: str, port: int, *, entryway: bool = False) -> None:
        host = Host(
            name,
            self.accounts,
            Tokens(self.clock, "did:web:localhost"),
            self._new_limits(),
            self.directory,
            self._host_settings(),
            entryway=entryway,
        )
        host.url = await self._serve(name, Pds(host), port)
        self.hosts[name] = host

    async def _serve(self, name: str, app: App, port: int) -> str:
        server = HttpServer(self._observed(name, app), self._tls)
        await server.start(port)
        self._servers.append(server)
        return f"{'https' if self._tls else 'http'}://{self.settings.hostname}:{server.port}"

    def _new_limits(self) -> Limits:
        settings = self.settings
        return Limits(
            self.clock, enabled=settings.limits, scale=settings.limits_scale, retry_after=settings.retry_after
        )

    def _host_settings(self) -> HostSettings:
        return HostSettings(login_delay=self.settings.login_delay, did_doc=self.settings.did_doc)

    def _observed(self, name: str, app: App) -> Callable[[Request], Response]:
        """The app behind this host's faults and the ledger."""

        def handler(request: Request) -> Response:
            method, identifier = app.identify(request)
            # Most runs order no fault, and a benchmark should not pay for looking.
            fault = self.faults.take(name, method, self._names(identifier)) if self.faults else None
            response = app(request) if fault is None else strike(fault, partial(app, request))
            self.ledger.record(Entry(self.clock.now(), name, method, identifier, response.status, request.address))
            return compressed(request, response)

        return handler

    def _names(self, identifier: str | None) -> set[str]:
        """Every name of the account a request is about, in lower case, the one that was sent among them."""
        if identifier is None:
            return set()
        account = self.accounts.find(identifier)
        sent = identifier.lower()
        return {sent} if account is None else {sent, account.did.lower(), account.handle}
