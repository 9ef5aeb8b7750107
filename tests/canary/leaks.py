"""`connector` with a platform that leaks: the search must notice each of these, or it proves nothing.

The handle says how: `logs-….test` leaks by a log line, and so on. Everything else is the product.
"""

import base64
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import redis
import structlog

import worker.bootstrap
from cli.main import app
from connections import tracing
from connections.errors import CredentialsRejected
from connections.settings import Settings
from connections.verified import Credentials, Refreshed, StoredAccount, VerifiedAccount
from worker.pace import Pace
from worker.platforms.base import BeforeLogin, Platform, build_platforms

log = structlog.get_logger("worker.leaks")

Leak = Callable[[Credentials, VerifiedAccount], VerifiedAccount]


def logs(credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    log.info("logging_in", note=f"with {credentials.password}")
    return verified


def raises(credentials: Credentials, _verified: VerifiedAccount) -> VerifiedAccount:
    raise RuntimeError(f"cannot use {credentials.password}", credentials.identifier)


def prints(credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    sys.stdout.write(f"{credentials.password}\n")
    return verified


def encodes(_credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    log.info("session", note=base64.b64encode(f"it is {verified.session.refresh_token}".encode()).decode())
    return verified


def stores_in_redis(credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    with redis.Redis.from_url(os.environ["CONNECTOR_REDIS_URL"]) as client:
        client.hset("connector:last", mapping={"password": credentials.password})
    return verified


def publishes(credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    with redis.Redis.from_url(os.environ["CONNECTOR_REDIS_URL"]) as client:
        client.publish("connector:settled:nobody", credentials.password)
    return verified


def tells(credentials: Credentials, _verified: VerifiedAccount) -> VerifiedAccount:
    raise CredentialsRejected(f"Bluesky does not like {credentials.password}")


def stores(_credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    return replace(verified, display_name=verified.session.access_token[-40:])


def writes(credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    (Path(os.environ["CONNECTOR_VAR_DIR"]) / "trace.txt").write_bytes(credentials.password.encode("utf-16"))
    return verified


def traces(credentials: Credentials, verified: VerifiedAccount) -> VerifiedAccount:
    tracing.current().note({"connector.note": credentials.password})
    return verified


LEAKS: dict[str, Leak] = {
    leak.__name__.replace("_", "-"): leak
    for leak in (logs, raises, prints, encodes, stores_in_redis, publishes, tells, stores, writes, traces)
}


class Leaky:
    """A platform that does what it should, and one thing more."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def login_name(self, credentials: Credentials) -> str | None:
        return self._platform.login_name(credentials)

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[None]:
        return self._platform.ahead(names)

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        verified = self._platform.connect(
            credentials, deadline=deadline, before_login=before_login, looks_first=looks_first
        )
        return LEAKS[credentials.identifier.partition(".")[0]](credentials, verified)

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        return self._platform.refresh(account, deadline=deadline)

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        self._platform.end_session(account, deadline=deadline)

    def end_retired(self, account: str, host: str, refresh_token: str, *, deadline: float) -> None:
        self._platform.end_retired(account, host, refresh_token, deadline=deadline)

    def open_circuits(self) -> Mapping[str, int]:
        return self._platform.open_circuits()

    def close(self) -> None:
        self._platform.close()


def _build(settings: Settings, pace: Pace) -> dict[str, Platform]:
    return {name: Leaky(platform) for name, platform in build_platforms(settings, pace).items()}


if __name__ == "__main__":
    vars(worker.bootstrap)["build_platforms"] = _build
    app(prog_name="connector")
