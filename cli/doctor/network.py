"""Checks of the way out, as the workers take it: nameservers, the directory, the hosted service."""

import time
from collections.abc import Callable
from ipaddress import ip_address

from cli.ages import answer_time
from cli.doctor.findings import Finding, fail, ok, warn
from cli.doctor.subject import PATIENCE_SECONDS, Subject
from connections.bluesky.hosted import HostedService
from connections.settings import Settings
from connections.urls import host_of
from worker.egress.policy import Policy

_OPERATORS = Policy(is_operators=True)

# https://github.com/did-method-plc/did-method-plc, packages/server/src/routes.ts
DIRECTORY_HEALTH = "/_health"
# https://github.com/bluesky-social/atproto, packages/pds/src/basic-routes.ts
PDS_HEALTH = "/xrpc/_health"

_SOME_DOMAIN = "bsky.social"


def check_dns(subject: Subject) -> Finding:
    name = f"_atproto.{_domain(subject.settings)}"
    started = time.monotonic()
    found = subject.resolver.texts(name, deadline=started + PATIENCE_SECONDS)
    seconds = time.monotonic() - started
    asked = ", ".join(subject.settings.dns_servers) or "the system's"
    # That there is none is an answer, too.
    return ok(f"{asked}, {answer_time(seconds)}: {len(found)} TXT records of {name}", seconds=round(seconds, 6))


def _domain(settings: Settings) -> str:
    """Where handles of the hosted service are; any domain, where an address stands for that."""
    domain = HostedService.of(settings).domain
    try:
        ip_address(domain)
    except ValueError:
        return domain
    return _SOME_DOMAIN


def health_check(origin_of: Callable[[Settings], str | None], path: str) -> Callable[[Subject], Finding | None]:
    """A check that asks a host how it is. It has nothing to say where the settings name none."""

    def check(subject: Subject) -> Finding | None:
        origin = origin_of(subject.settings)
        if origin is None:
            return None
        started = time.monotonic()
        answer = subject.egress.request("GET", origin + path, deadline=started + PATIENCE_SECONDS, policy=_OPERATORS)
        return health_finding(host_of(origin), answer.status, time.monotonic() - started)

    return check


def health_finding(host: str, status: int, seconds: float) -> Finding:
    facts = {"status": status, "seconds": round(seconds, 6)}
    found = f"{host} answers {status} in {answer_time(seconds)}"
    if status == 200:
        return ok(found, **facts)
    if status == 429:
        return warn(found, "it limits this address: the pace of batches is corrected by itself", **facts)
    if status >= 500:
        return fail(found, "it fails: nothing to do here, rows are tried again", **facts)
    return fail(found, "check the setting: this is no server of that kind", **facts)
