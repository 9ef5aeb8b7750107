"""Calls to hosts of the AT Protocol: over the guarded way out, with our errors for everything that goes wrong there."""

from collections.abc import Mapping
from urllib.parse import urlencode

from worker.egress import Egress, EgressError, Policy, Response
from worker.platforms.bluesky.errors import from_egress

# A PDS may stand on any port its document names; documents and sessions are a few kilobytes.
PDS = Policy(any_port=True)
OPERATORS = Policy(is_operators=True, any_port=True)


def query(
    egress: Egress, origin: str, method: str, params: Mapping[str, str], *, deadline: float, policy: Policy = PDS
) -> Response:
    """`GET /xrpc/<method>`. Raises `PlatformError` when no answer comes; any status is an answer."""
    return fetch(egress, f"{origin}/xrpc/{method}?{urlencode(params)}", deadline=deadline, policy=policy)


def procedure(
    egress: Egress,
    origin: str,
    method: str,
    body: Mapping[str, object] | None = None,
    *,
    token: str | None = None,
    deadline: float,
) -> Response:
    """`POST /xrpc/<method>` on a PDS. Raises `PlatformError` when no answer comes; any status is an answer."""
    headers = {"authorization": f"Bearer {token}"} if token else None
    try:
        return egress.request(
            "POST", f"{origin}/xrpc/{method}", json=body, headers=headers, deadline=deadline, policy=PDS
        )
    except EgressError as exc:
        raise from_egress(exc, is_strangers_host=True) from exc


def fetch(egress: Egress, url: str, *, deadline: float, policy: Policy) -> Response:
    """`GET url`. Raises `PlatformError` when no answer comes; any status is an answer."""
    try:
        return egress.request("GET", url, deadline=deadline, policy=policy)
    except EgressError as exc:
        raise from_egress(exc, is_strangers_host=not policy.is_operators) from exc
