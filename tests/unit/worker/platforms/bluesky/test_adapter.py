"""The platform as the worker builds and uses it."""

import subprocess
import sys
import time

import dns.resolver
import pytest

from connections.errors import AlreadyConnected, UpstreamFailed
from connections.settings import Settings, SettingsError
from connections.verified import Credentials
from tests.unit.worker.platforms.bluesky.conftest import APP_PASSWORD, CREATE, DID, HANDLE, PDS, World
from worker.pace import Unpaced
from worker.platforms.base import build_platforms
from worker.platforms.bluesky.adapter import Bluesky
from worker.platforms.bluesky.session import LEAST_SECONDS


def test_is_found_by_its_name() -> None:
    bluesky = build_platforms(Settings(dns_servers=("127.0.0.1:53",)), Unpaced())["bluesky"]
    assert isinstance(bluesky, Bluesky)
    bluesky.close()


def test_the_sdk_is_imported_by_nobody_who_only_imports_the_package() -> None:
    code = "import sys, worker.platforms.bluesky; sys.exit(any(name.startswith('atproto') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_system_without_nameservers_says_which_setting_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_configured(*_: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", none_configured)
    monkeypatch.setattr(dns.resolver.Resolver, "read_registry", none_configured, raising=False)
    with pytest.raises(SettingsError, match="CONNECTOR_DNS_SERVERS"):
        Bluesky(Settings(), Unpaced())


def test_a_known_account_costs_no_login(world: World) -> None:
    with pytest.raises(AlreadyConnected):
        world.connect(connected={DID})
    assert world.calls(CREATE) == 0


def test_who_asks_learns_the_verified_name(world: World) -> None:
    asked: list[tuple[str, str | None]] = []
    world.bluesky.connect(
        Credentials(DID, APP_PASSWORD),
        deadline=time.monotonic() + 5,
        before_login=lambda external_id, name: asked.append((external_id, name)),
    )
    assert asked == [(DID, HANDLE)]


def test_a_deadline_in_the_past_costs_no_request(world: World) -> None:
    with pytest.raises(UpstreamFailed):
        world.bluesky.connect(
            Credentials(DID, APP_PASSWORD),
            deadline=time.monotonic() - 1,
            before_login=lambda external_id, name: None,
        )
    assert world.network.requests == []


def test_a_login_that_may_be_cut_off_is_not_begun(world: World) -> None:
    """It might be made all the same, and nobody would have its session."""
    with pytest.raises(UpstreamFailed):
        world.bluesky.connect(
            Credentials(DID, APP_PASSWORD),
            deadline=time.monotonic() + LEAST_SECONDS,
            before_login=lambda external_id, name: None,
        )
    assert [host for host, _, _ in world.pace.requests] == ["plc.directory", PDS]
    assert world.calls(CREATE) == 0
