"""Who a case is about: an account with recognisable passwords, in a workspace of its own."""

import base64
import hashlib
from dataclasses import dataclass, field

import httpx

from sandbox.client import SandboxAccount

CONNECT = "/v1/accounts/connect"


def canary(*seed: str) -> str:
    """24 letters and digits that nothing else has, always the same for the same seed."""
    return base64.b32encode(hashlib.sha256(":".join(seed).encode()).digest()).decode().lower()[:24]


def app_shaped(*seed: str) -> str:
    """A password of the shape of Bluesky's own: the one that the redaction of logs knows by sight."""
    letters = canary(*seed)
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


@dataclass(frozen=True)
class Person:
    """`password` is the app password, `main_password` the account's own; `client` calls with `key`."""

    account: SandboxAccount
    client: httpx.Client
    key: str = field(repr=False)
    workspace_id: str

    @property
    def did(self) -> str:
        return self.account.did

    @property
    def handle(self) -> str:
        return self.account.handle

    @property
    def password(self) -> str:
        return self.account.app_password

    @property
    def main_password(self) -> str:
        return self.account.password

    def connect(
        self,
        password: str | None = None,
        *,
        handle: str | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        **more: object,
    ) -> httpx.Response:
        """As documented; `more` are further members of the body."""
        credentials = {"handle": handle or self.handle, "app_password": password or self.password}
        body = {"platform": "bluesky", "credentials": credentials, **more}
        return self.client.post(CONNECT, json=body, headers=headers, params=params)

    def post(self, content: bytes, **headers: str) -> httpx.Response:
        """Any body."""
        all_headers = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): headers[name] for name in headers},
        }
        return self.client.post(CONNECT, content=content, headers=all_headers)
