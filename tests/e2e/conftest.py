"""One service a database and session; tests keep apart by workspaces and accounts of their own."""

from collections.abc import Iterator

import httpx
import pytest

from connections.migrate import upgrade
from sandbox.client import SandboxAccount
from sandbox.process import SandboxProcess
from tests.e2e.network.real import RealNetwork, require_node
from tests.e2e.stack import Service, running_service
from tests.factories import Tenant
from tests.servers import Postgres, Valkey, running_valkey


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def e2e_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("e2e_valkey")) as valkey:
        yield valkey


@pytest.fixture(scope="session")
def sqlite_service(
    tmp_path_factory: pytest.TempPathFactory, e2e_valkey: Valkey, sandbox: SandboxProcess
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service_on_sqlite")
    url = f"sqlite:///{directory / 'connector.db'}"
    upgrade(url)
    with running_service(directory, url, e2e_valkey, sandbox) as service:
        yield service


@pytest.fixture(scope="session")
def postgres_service(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, sandbox: SandboxProcess
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service_on_postgres")
    with (
        running_valkey(directory) as valkey,  # its own: two services on one Redis would take each other's messages
        running_service(directory, postgres.create("e2e", template="migrated"), valkey, sandbox) as service,
    ):
        yield service


@pytest.fixture(scope="session")
def real_network() -> Iterator[RealNetwork]:
    require_node()
    with RealNetwork() as network:
        yield network


@pytest.fixture(scope="session")
def service_on_real_network(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, real_network: RealNetwork
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service_on_real_network")
    database_url = postgres.create("real_network", template="migrated")
    with (
        running_valkey(directory) as valkey,
        running_service(directory, database_url, valkey, real_network) as service,
    ):
        yield service


@pytest.fixture(params=["sqlite", "postgres"])
def any_service(request: pytest.FixtureRequest) -> Service:
    service: Service = request.getfixturevalue(f"{request.param}_service")
    return service


@pytest.fixture
def service(sqlite_service: Service) -> Service:
    return sqlite_service


@pytest.fixture
def tenant(service: Service) -> Tenant:
    return service.tenant()


@pytest.fixture
def client(service: Service, tenant: Tenant) -> httpx.Client:
    return service.client(tenant)


@pytest.fixture
def account(sandbox: SandboxProcess) -> SandboxAccount:
    """A fresh account with an app password."""
    return new_account(sandbox)


_handles = iter(range(1, 1_000_000))


def new_account(sandbox: SandboxProcess) -> SandboxAccount:
    return sandbox.control.create_account(f"person{next(_handles)}.test", app_password="abcd-efgh-2345-wxyz")
