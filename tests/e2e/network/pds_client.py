"""Sets up accounts on any PDS through its public XRPC methods, so that one suite serves a real one and the sandbox."""

import base64
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class PdsAccount:
    """An account just created, with an access token of its main password."""

    did: str
    handle: str
    email: str
    password: str = field(repr=False)
    access_token: str = field(repr=False)


class PdsClient:
    """Talks XRPC to one PDS. The methods that set something up raise httpx.HTTPStatusError when it is refused."""

    def __init__(self, url: str, admin_password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)
        secret = base64.b64encode(f"admin:{admin_password}".encode()).decode()
        self._admin = {"Authorization": f"Basic {secret}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """GET an NSID, or a path that starts with a slash; `options` are those of httpx."""
        return self._request("GET", path, token, options)

    def post(self, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """POST to an NSID, or to a path that starts with a slash; `options` are those of httpx."""
        return self._request("POST", path, token, options)

    def login(self, identifier: str, password: str, **more: Any) -> httpx.Response:
        """com.atproto.server.createSession; the answer as it is."""
        body = {"identifier": identifier, "password": password, **more}
        return self.post("com.atproto.server.createSession", json=body)

    def create_account(self, handle: str, password: str = "main-password") -> PdsAccount:
        """com.atproto.server.createAccount, with an e-mail address made of the handle."""
        email = f"{handle.partition('.')[0]}@mail.com"
        body = {"handle": handle, "email": email, "password": password}
        created = self.post("com.atproto.server.createAccount", json=body).raise_for_status().json()
        return PdsAccount(created["did"], handle, email, password, created["accessJwt"])

    def create_app_password(self, account: PdsAccount, name: str = "app", *, privileged: bool = False) -> str:
        """com.atproto.server.createAppPassword; gives the password."""
        response = self.post(
            "com.atproto.server.createAppPassword",
            token=account.access_token,
            json={"name": name, "privileged": privileged},
        )
        return str(response.raise_for_status().json()["password"])

    def revoke_app_password(self, account: PdsAccount, name: str = "app") -> None:
        """com.atproto.server.revokeAppPassword, which ends its sessions."""
        body = {"name": name}
        self.post("com.atproto.server.revokeAppPassword", token=account.access_token, json=body).raise_for_status()

    def delete_account(self, did: str) -> None:
        """com.atproto.admin.deleteAccount."""
        self.post("com.atproto.admin.deleteAccount", headers=self._admin, json={"did": did}).raise_for_status()

    def deactivate(self, account: PdsAccount) -> None:
        """com.atproto.server.deactivateAccount."""
        self.post("com.atproto.server.deactivateAccount", token=account.access_token, json={}).raise_for_status()

    def activate(self, account: PdsAccount) -> None:
        """com.atproto.server.activateAccount."""
        self.post("com.atproto.server.activateAccount", token=account.access_token).raise_for_status()

    def take_down(self, did: str, *, applied: bool = True) -> None:
        """com.atproto.admin.updateSubjectStatus: take the account down, or restore it."""
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": did}
        takedown = {"applied": True, "ref": "test"} if applied else {"applied": False}
        self.post(
            "com.atproto.admin.updateSubjectStatus",
            headers=self._admin,
            json={"subject": subject, "takedown": takedown},
        ).raise_for_status()

    def _request(self, verb: str, path: str, token: str | None, options: dict[str, Any]) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = path if path.startswith("/") else f"/xrpc/{path}"
        return self._http.request(verb, url, headers=headers, **options)
