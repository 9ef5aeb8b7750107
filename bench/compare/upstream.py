"""The one upstream of all: the sandbox as a process, whose entryway takes 50 ms for a login and answers with the DID
document, as the hosted service does.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx

from sandbox.client import SandboxAccount
from sandbox.network import CROWD_PASSWORD, ENTRYWAY
from sandbox.process import SandboxProcess
from sandbox.tls import CA_FILE

LOGIN_SECONDS = 0.05
DOMAIN = "bsky.test"
"""The hosted service's, under which handles need no other proof than its word."""

_CREATED_AT_ONCE = 500


class Identifier(StrEnum):
    """What the callers of a run know the accounts by."""

    HOSTED_HANDLE = "hosted handle"
    DID = "DID"

    def of(self, account: SandboxAccount) -> str:
        return account.handle if self is Identifier.HOSTED_HANDLE else account.did


@dataclass(frozen=True, slots=True)
class Upstream:
    """`url` is the entryway's, by address; `ca` a path, empty without TLS."""

    sandbox: SandboxProcess
    accounts: list[SandboxAccount]
    url: str
    ca: str

    @property
    def pid(self) -> int:
        return self.sandbox.pid

    def settings(self) -> Mapping[str, str]:
        """Of a Connector whose Bluesky this is."""
        entryway = httpx.URL(self.sandbox.hosts[ENTRYWAY])
        return {
            "CONNECTOR_BLUESKY_URL": str(entryway.copy_with(host=DOMAIN)),
            "CONNECTOR_DEV_PDS_URL": str(entryway),
            "CONNECTOR_PLC_URL": self.sandbox.plc_url,
            "CONNECTOR_DNS_SERVERS": self.sandbox.dns_address,
        }


@contextmanager
def running_upstream(accounts: int, *, tls: bool) -> Iterator[Upstream]:
    """With that many accounts, `bulk0.bsky.test` and so on."""
    with tempfile.TemporaryDirectory(prefix="upstream-") as directory:
        arguments = ["--delay-ms", f"{1000 * LOGIN_SECONDS:g}", "--entryway-port", "0", "--did-doc"]
        arguments += ["--hosted-domain", DOMAIN, *(("--tls-directory", directory) if tls else ())]
        with SandboxProcess(*arguments) as sandbox:
            url = httpx.URL(sandbox.hosts[ENTRYWAY]).copy_with(host="127.0.0.1")
            yield Upstream(sandbox, created(sandbox, accounts), str(url), str(Path(directory, CA_FILE)) if tls else "")


def created(sandbox: SandboxProcess, number: int) -> list[SandboxAccount]:
    handles = [f"bulk{count}.{DOMAIN}" for count in range(number)]
    return [
        account
        for start in range(0, number, _CREATED_AT_ONCE)
        for account in sandbox.control.create_accounts(
            handles[start : start + _CREATED_AT_ONCE], app_password=CROWD_PASSWORD
        )
    ]
