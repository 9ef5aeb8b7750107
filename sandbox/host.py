"""The state of one PDS, and the questions its methods ask of it."""

from dataclasses import dataclass
from typing import Any

from sandbox.accounts import Account, Accounts
from sandbox.limits import Limits
from sandbox.plc import Directory
from sandbox.tokens import Tokens


@dataclass(slots=True)
class HostSettings:
    """What may differ between PDSes.

    `login_delay`: seconds a login takes, a refused one too (350 ms on a real PDS). `did_doc`: put the DID document
    into sessions, as the hosted service does and a self-hosted PDS does not by default.
    """

    login_delay: float = 0.0
    did_doc: bool = False
    admin_password: str = "admin-pass"
    handle_domains: tuple[str, ...] = (".test", ".example")


@dataclass(slots=True)
class Host:
    """One PDS. An entryway speaks for the accounts of every PDS, as bsky.social does."""

    name: str
    accounts: Accounts
    tokens: Tokens
    limits: Limits
    directory: Directory
    settings: HostSettings
    url: str = ""
    did: str = "did:web:localhost"
    entryway: bool = False

    def account(self, name: str) -> Account | None:
        """The account with this DID, handle or e-mail address, if this PDS serves it."""
        account = self.accounts.find(name)
        return account if account is not None and (self.entryway or account.host == self.name) else None

    def did_doc(self, did: str) -> dict[str, Any] | None:
        """The DID document to put into a session, if any."""
        return self.directory.document(did) if self.settings.did_doc or self.entryway else None
