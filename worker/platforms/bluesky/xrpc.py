"""Calls to servers of the AT Protocol: over the guarded way out, with our errors for all that goes wrong on it.

Every call takes a `deadline`, a `time.monotonic()` instant, and raises `PlatformError` when no answer comes. Any status
is an answer.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from connections.urls import host_of
from worker.egress import Egress, EgressError, Policy, Response
from worker.platforms.bluesky.errors import from_egress

# A PDS may stand on any port its document names.
STRANGERS = Policy(any_port=True)
OPERATORS = Policy(is_operators=True, any_port=True)


class Server(NamedTuple):
    """Who is called: an origin such as `https://host` or `https://host:port`, and what the call may do."""

    origin: str
    policy: Policy = STRANGERS

    @property
    def host(self) -> str:
        """With its port, if it names one: as the way out counts its requests."""
        return host_of(self.origin)


def query(egress: Egress, server: Server, method: str, params: Mapping[str, str], *, deadline: float) -> Response:
    """`GET /xrpc/<method>`."""
    url = f"{server.origin}/xrpc/{method}?{urlencode(params)}"
    return fetch(egress, url, server.policy, deadline=deadline, template=f"/xrpc/{method}")


def procedure(
    egress: Egress,
    server: Server,
    method: str,
    *,
    body: Mapping[str, object] | None = None,
    token: str | None = None,
    deadline: float,
    login_of: str | None = None,
    least: float = 0.0,
) -> Response:
    """`POST /xrpc/<method>`. `login_of` is the account that it logs in to, if it does; not begun with fewer than
    `least` seconds left."""
    headers = {"authorization": f"Bearer {token}"} if token else None
    url = f"{server.origin}/xrpc/{method}"
    try:
        return egress.request(
            "POST",
            url,
            json=body,
            headers=headers,
            deadline=deadline,
            policy=server.policy,
            login_of=login_of,
            least=least,
            template=f"/xrpc/{method}",
        )
    except EgressError as exc:
        raise from_egress(exc, is_strangers_host=not server.policy.is_operators) from exc


def fetch(egress: Egress, url: str, policy: Policy, *, deadline: float, template: str) -> Response:
    """`GET url`, which traces call by its `template`."""
    try:
        return egress.request("GET", url, deadline=deadline, policy=policy, template=template)
    except EgressError as exc:
        raise from_egress(exc, is_strangers_host=not policy.is_operators) from exc
