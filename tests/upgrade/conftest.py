"""Parts of both versions on one database, one queue and one Bluesky."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from connections.api_keys import prefix_of
from connections.db import Database
from connections.settings import Settings
from connections.vault import ensure_development_keys
from sandbox.client import SandboxAccount
from sandbox.process import SandboxProcess
from tests.e2e.stack import is_ready
from tests.factories import Tenant
from tests.servers import Postgres, Valkey, free_port, running_valkey, wait_until
from tests.upgrade.versions import Version, running, unpack

PASSWORD = "abcd-efgh-2345-wxyz"

_people = itertools.count()


@dataclass
class Deployment:
    """What an upgrade changes part by part. The tables are the old version's until `migrate`."""

    roots: dict[Version, Path]
    environment: dict[str, str]
    directory: Path
    sandbox: SandboxProcess
    database: Database
    tenant: Tenant = field(init=False)

    def run(self, version: Version, *command: str) -> str:
        """A command that ends, and the first line of what it says. Raises `AssertionError` when it fails."""
        log = self.directory / "command.log"
        log.unlink(missing_ok=True)
        with running(self.roots[version], *command, environment=self.environment, log=log) as process:
            assert process.wait(60) == 0, log.read_text()
        return log.read_text().partition("\n")[0]

    def make_tenant(self) -> Tenant:
        """By the old version: the tables are still its own."""
        workspace_id = self.run(Version.OLD, "workspace", "create", "Acme")
        profile_id = self.run(Version.OLD, "profile", "create", "Default", "--workspace", workspace_id)
        key = self.run(Version.OLD, "key", "create", "--workspace", workspace_id)
        return Tenant(workspace_id, (profile_id,), key, prefix_of(key) or "")

    @contextlib.contextmanager
    def part(self, version: Version, name: str, *options: str) -> Iterator[None]:
        log = self.log_file(version, name)
        with running(self.roots[version], name, *options, environment=self.environment, log=log) as process:
            if name == "worker":
                wait_until(lambda: "worker_ready" in self.log(version, name), what=f"the {version} worker", seconds=60)
            yield
            assert process.poll() is None, log.read_text()

    @contextlib.contextmanager
    def api(self, version: Version) -> Iterator[httpx.Client]:
        port = free_port()
        with self.part(version, "api", "--port", str(port)):
            wait_until(lambda: is_ready(port), what=f"the {version} API", seconds=60)
            key = {"Authorization": f"Bearer {self.tenant.key}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=key, timeout=40, trust_env=False) as client:
                yield client

    def log_file(self, version: Version, name: str) -> Path:
        return self.directory / f"{version}-{name}.log"

    def log(self, version: Version, name: str) -> str:
        path = self.log_file(version, name)
        return path.read_text() if path.exists() else ""

    def people(self, count: int) -> list[SandboxAccount]:
        handles = [f"person-{next(_people)}.test" for _ in range(count)]
        return self.sandbox.control.create_accounts(handles, app_password=PASSWORD)


@pytest.fixture(scope="session")
def upgrade_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def upgrade_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("upgrade_valkey")) as valkey:
        yield valkey


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[Version, Path]:
    return unpack(tmp_path_factory.mktemp("versions"))


@pytest.fixture
def deployment(
    tmp_path: Path,
    postgres: Postgres,
    upgrade_valkey: Valkey,
    upgrade_sandbox: SandboxProcess,
    roots: dict[Version, Path],
) -> Iterator[Deployment]:
    with upgrade_valkey.client() as client:
        client.flushall()
    url = postgres.create(tmp_path.name.replace("-", "_").lower())
    ensure_development_keys(Settings(var_dir=tmp_path / "var"))
    environment = {
        "CONNECTOR_VAR_DIR": str(tmp_path / "var"),
        "CONNECTOR_DATABASE_URL": url,
        "CONNECTOR_REDIS_URL": upgrade_valkey.url,
        "CONNECTOR_DEV_PDS_URL": upgrade_sandbox.pds_url,
        "CONNECTOR_PLC_URL": upgrade_sandbox.plc_url,
        "CONNECTOR_WORKER_THREADS": "8",
    }
    deployment = Deployment(roots, environment, tmp_path, upgrade_sandbox, Database(url, pool_size=2))
    deployment.run(Version.OLD, "migrate")
    deployment.tenant = deployment.make_tenant()
    yield deployment
    deployment.database.close()
    for log in tmp_path.glob("*-*.log"):
        assert "crashed" not in log.read_text(), log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()
