"""A small client of the control API, for tests and benchmarks."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from sandbox.dns import Failure
from sandbox.faults import Fault

_TIMEOUT_SECONDS = 10.0


class ControlError(Exception):
    """The control API refused; the text says why."""


@dataclass(frozen=True, slots=True)
class SandboxAccount:
    """An account as the sandbox knows it; these credentials are of no use anywhere else."""

    did: str
    handle: str
    password: str
    app_password: str
    host: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests of a method a host answered with a status; 0 is a connection that it closed instead."""

    host: str
    method: str
    status: int
    count: int


class ControlClient:
    """Drives a running sandbox. Every method raises ControlError when the sandbox refuses, OSError when it is gone."""

    def __init__(self, url: str) -> None:
        self._url = url
        # No proxy of the environment may get in between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def create_account(self, handle: str, **details: Any) -> SandboxAccount:
        """Create an account; `details` are those of `sandbox.network.NewAccount`."""
        return self.create_accounts([handle], **details)[0]

    def create_accounts(self, handles: Iterable[str], **details: Any) -> list[SandboxAccount]:
        """Create many accounts at once, for benchmarks; `details` are the same for all."""
        wanted = [{"handle": handle, **details} for handle in handles]
        return [_account(found) for found in self._send("POST", "accounts", wanted)["accounts"]]

    def take_down(self, account: str, *, applied: bool = True) -> None:
        """Take an account down, or restore it."""
        self._send("PATCH", f"accounts/{_quoted(account)}", {"taken_down": applied})

    def deactivate(self, account: str, *, applied: bool = True) -> None:
        """Deactivate an account, or activate it."""
        self._send("PATCH", f"accounts/{_quoted(account)}", {"deactivated": applied})

    def require_email_code(self, account: str, code: str | None = "AAAAA-BBBBB") -> None:
        """Ask for a code by e-mail whenever the main password is used; None ends it."""
        self._send("PATCH", f"accounts/{_quoted(account)}", {"email_code": code})

    def mails_sent(self, account: str) -> int:
        """How many mails with a code the account has got."""
        return int(self._send("GET", f"accounts/{_quoted(account)}")["mails_sent"])

    def open_sessions(self, account: str) -> int:
        """How many sessions can still be refreshed, not counting refresh tokens that were replaced."""
        return sum(not token["replaced"] for token in self.refresh_tokens(account))

    def refresh_tokens(self, account: str) -> list[dict[str, Any]]:
        """Every refresh token that still works: `id`, `scope` and whether it was `replaced` (and is in its grace)."""
        tokens: list[dict[str, Any]] = self._send("GET", f"accounts/{_quoted(account)}")["refresh_tokens"]
        return tokens

    def tokens_issued(self) -> list[str]:
        """Every access and refresh token since the start or the last `reset`, those that have ended too."""
        tokens: list[str] = self._send("GET", "tokens")["tokens"]
        return tokens

    def order(self, fault: Fault) -> int:
        """Order a fault of `sandbox.faults`; gives its id."""
        return int(self._send("POST", "faults", fault.to_json())["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Every order with its `id` and how often it `struck`."""
        orders: list[dict[str, Any]] = self._send("GET", "faults")["faults"]
        return orders

    def cancel(self, fault_id: int) -> None:
        """Take one order back."""
        self._send("DELETE", f"faults/{fault_id}")

    def put_document(self, did: str, document: dict[str, Any]) -> None:
        """Store a DID document, right or wrong; a did:web one is served by every PDS for that Host header."""
        self._send("PUT", f"documents/{_quoted(did)}", document)

    def tombstone(self, did: str) -> None:
        """Let the directory answer 410."""
        self._send("PUT", f"documents/{_quoted(did)}", None)

    def put_name(self, name: str, **records: list[str]) -> None:
        """Replace the DNS records of a name: `TXT=['"did=…"'], A=["127.0.0.1"]`."""
        self._send("PUT", f"names/{_quoted(name)}", {"records": records})

    def fail_name(self, name: str, failure: Failure, times: int | None = None) -> None:
        """Let a DNS name fail, `times` times or until replaced."""
        self._send("PUT", f"names/{_quoted(name)}", {"failure": failure, "times": times})

    def remove_name(self, name: str) -> None:
        """Forget a DNS name, which is NXDOMAIN then."""
        self._send("DELETE", f"names/{_quoted(name)}")

    def name_queries(self, name: str) -> int:
        """How many queries a known DNS name has had."""
        return int(self._send("GET", f"names/{_quoted(name)}")["asked"])

    def count(self, method: str | None = None, *, identifier: str | None = None, host: str | None = None) -> int:
        """How many requests there were since the start or the last `reset`."""
        wanted = {"method": method, "identifier": identifier, "host": host}
        return int(self._send("GET", f"requests?{_query(wanted)}&entries=no")["count"])

    def requests(
        self, method: str | None = None, *, identifier: str | None = None, host: str | None = None
    ) -> list[dict[str, Any]]:
        """The latest requests, oldest first: `at` (epoch seconds), `host`, `method`, `identifier`, `status`, `address`.

        `method` is an NSID or a path, `/{did}` for the directory; `identifier` is as sent, not normalised.
        """
        wanted = {"method": method, "identifier": identifier, "host": host}
        entries: list[dict[str, Any]] = self._send("GET", f"requests?{_query(wanted)}")["entries"]
        return entries

    def tally(self) -> list[Tally]:
        """Every request since the start or the last `reset`, added up: quick enough to ask for all the time."""
        return [Tally(**line) for line in self._send("GET", "tally")["tally"]]

    def limits(self, *, enabled: bool, scale: float = 1.0, retry_after: bool = False, host: str = "pds") -> None:
        """Switch the documented rate limits of one PDS; `scale` below 1 shortens every window."""
        self._send("PATCH", f"hosts/{_quoted(host)}", {"enabled": enabled, "scale": scale, "retry_after": retry_after})

    def login_delay(self, seconds: float, *, host: str = "pds") -> None:
        """Let every login of one PDS take so long."""
        self._send("PATCH", f"hosts/{_quoted(host)}", {"login_delay": seconds})

    def did_doc(self, included: bool, *, host: str = "pds") -> None:
        """Put the DID document into sessions of one PDS, or leave it out."""
        self._send("PATCH", f"hosts/{_quoted(host)}", {"did_doc": included})

    def advance_clock(self, seconds: float) -> None:
        """Let tokens expire and windows end without waiting."""
        self._send("POST", "clock", {"seconds": seconds})

    def reset(self) -> None:
        """Everything as after the start: accounts of the command line, no faults, no counts."""
        self._send("POST", "reset")

    def describe(self) -> dict[str, Any]:
        """Where the network listens and which accounts it started with."""
        return self._send("GET", "network")

    def _send(self, verb: str, path: str, body: Any = ...) -> dict[str, Any]:
        data = None if body is ... else json.dumps(body).encode()
        url = f"{self._url}/_sandbox/{path}"
        request = urllib.request.Request(url, data=data, method=verb)  # noqa: S310 - the sandbox's own URL
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(error.read().decode()) from None


def _query(wanted: dict[str, str | None]) -> str:
    return urlencode({key: value for key, value in wanted.items() if value is not None})


def _quoted(name: str) -> str:
    return quote(name, safe=":")


def _account(found: dict[str, Any]) -> SandboxAccount:
    return SandboxAccount(found["did"], found["handle"], found["password"], found["app_passwords"][0], found["host"])
