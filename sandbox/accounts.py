"""Accounts and their passwords, for all hosts of the network."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

HANDLE = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def plc_did(seed: str) -> str:
    """A did:plc that is always the same for the same seed, so that a restarted sandbox has the same accounts."""
    digest = hashlib.sha256(seed.encode()).digest()
    return "did:plc:" + base64.b32encode(digest).decode().lower()[:24]


def new_app_password() -> str:
    """An app password of the usual shape, `xxxx-xxxx-xxxx-xxxx` in base32."""
    return "-".join("".join(secrets.choice(BASE32) for _ in range(4)) for _ in range(4))


@dataclass(slots=True)
class AppPassword:
    """One app password; `created_at` is RFC 3339, UTC."""

    name: str
    password: str = field(repr=False)
    privileged: bool
    created_at: str


@dataclass(slots=True)
class Account:
    """One account. `host` names the PDS it lives on; `email_code` is wanted besides the main password when set."""

    did: str
    handle: str
    email: str
    password: str = field(repr=False)
    host: str
    app_passwords: dict[str, AppPassword] = field(default_factory=dict, repr=False)
    deactivated: bool = False
    taken_down: bool = False
    email_code: str | None = None
    mails_sent: int = 0
    display_name: str = ""

    def add_app_password(self, name: str, *, privileged: bool = False, password: str | None = None) -> AppPassword:
        """Add an app password, a fresh one unless given. Raises KeyError when the name is taken."""
        if name in self.app_passwords:
            raise KeyError(name)
        created_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        added = AppPassword(name, password or new_app_password(), privileged, created_at)
        self.app_passwords[name] = added
        return added

    def app_password(self, password: str) -> AppPassword | None:
        """The app password that equals `password`, byte for byte."""
        return next((known for known in self.app_passwords.values() if known.password == password), None)

    @property
    def status(self) -> str | None:
        """What `status` says in answers: None while the account is active."""
        if self.taken_down:
            return "takendown"
        return "deactivated" if self.deactivated else None


class Accounts:
    """Every account of the network, found by DID, by handle or by e-mail address."""

    def __init__(self) -> None:
        self._by_name: dict[str, Account] = {}

    def find(self, name: str) -> Account | None:
        """The account with this DID, handle or e-mail address, in any case."""
        return self._by_name.get(name.lower())

    def clear(self) -> None:
        """Forget every account."""
        self._by_name.clear()

    def add(self, account: Account) -> None:
        """Register an account. Raises ValueError when its DID, handle or e-mail address is taken."""
        names = (account.did, account.handle, account.email)
        for name in names:
            if name.lower() in self._by_name:
                raise ValueError(f"{name} is taken")
        for name in names:
            self._by_name[name.lower()] = account
