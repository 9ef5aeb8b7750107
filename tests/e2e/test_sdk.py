"""The official SDK, unchanged, sync and async."""

import re
from typing import Any

import httpx
import pytest
from unipost import AsyncUniPost, UniPost
from unipost.errors import AuthError, NotFoundError, UniPostError, ValidationError
from unipost.types import SocialAccount, _from_dict

from sandbox.client import SandboxAccount
from sandbox.process import SandboxProcess
from tests.e2e.stack import Service
from tests.factories import Tenant
from tests.servers import wait_until

SPELLINGS = {"as documented": ("handle", "app_password"), "as in the samples": ("identifier", "password")}


class Sync:
    """The SDK's synchronous client."""

    def __init__(self, service: Service, tenant: Tenant) -> None:
        self._client = UniPost(api_key=tenant.key, base_url=service.url)

    async def connect(self, credentials: dict[str, str], **more: str) -> SocialAccount:
        return self._client.accounts.connect(platform="bluesky", credentials=credentials, **more)

    async def disconnect(self, account_id: str) -> None:
        self._client.accounts.disconnect(account_id)


class Async:
    """The SDK's asynchronous client. Its `accounts` has no `connect` (0.7.0), so this sends the synchronous client's
    request through its transport, with its retries, its error types and its reading of `data`."""

    def __init__(self, service: Service, tenant: Tenant) -> None:
        self._client = AsyncUniPost(api_key=tenant.key, base_url=service.url)

    async def connect(self, credentials: dict[str, str], **more: str) -> SocialAccount:
        body: dict[str, Any] = {"platform": "bluesky", "credentials": credentials, **more}
        answer = await self._client.accounts._http.post("/v1/accounts/connect", body=body)
        return _from_dict(SocialAccount, answer["data"])

    async def disconnect(self, account_id: str) -> None:
        await self._client.accounts._http.delete(f"/v1/accounts/{account_id}")


Client = Sync | Async


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def sdk(request: pytest.FixtureRequest, service: Service, tenant: Tenant) -> Client:
    made: Client = request.param(service, tenant)
    return made


def credentials(
    account: SandboxAccount, password: str | None = None, spelling: str = "as documented"
) -> dict[str, str]:
    handle_field, password_field = SPELLINGS[spelling]
    return {handle_field: account.handle, password_field: password or account.app_password}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_connect_returns_the_account(sdk: Client, account: SandboxAccount, tenant: Tenant, spelling: str) -> None:
    connected = await sdk.connect(credentials(account, spelling=spelling))

    assert re.fullmatch("sa_[0-9a-z]{26}", connected.id)
    assert (connected.platform, connected.account_name) == ("bluesky", account.handle)
    assert (connected.status, connected.connection_type) == ("active", "byo")
    assert connected.profile_id == tenant.profile_ids[0]


async def test_a_wrong_password_is_an_auth_error(sdk: Client, account: SandboxAccount) -> None:
    with pytest.raises(AuthError) as caught:
        await sdk.connect(credentials(account, "wrong-pass-word-2345"))

    assert caught.value.error_source == "platform"
    assert caught.value.provider_error["provider"] == "bluesky"
    assert caught.value.request_id


async def test_a_wrong_key_is_an_auth_error_of_another_source(service: Service, account: SandboxAccount) -> None:
    stranger = Tenant("ws", (), "up_live_" + "x" * 40, "up_live_xxxxxxxx")

    for client in (Sync(service, stranger), Async(service, stranger)):
        with pytest.raises(AuthError) as caught:
            await client.connect(credentials(account))
        assert caught.value.error_source == "unipost"


@pytest.mark.parametrize("kind", [Sync, Async])
async def test_a_profile_must_be_named_among_several(
    service: Service, account: SandboxAccount, kind: type[Sync] | type[Async]
) -> None:
    tenant = service.tenant(profiles=2)
    sdk = kind(service, tenant)
    with pytest.raises(ValidationError, match="profile_id"):
        await sdk.connect(credentials(account))

    connected = await sdk.connect(credentials(account), profile_id=tenant.profile_ids[1])
    assert connected.profile_id == tenant.profile_ids[1]


async def test_a_second_connect_is_a_conflict(sdk: Client, account: SandboxAccount) -> None:
    first = await sdk.connect(credentials(account))
    with pytest.raises(UniPostError, match=re.escape(account.handle)) as caught:
        await sdk.connect(credentials(account))

    assert (caught.value.status, caught.value.code) == (409, "account_already_connected")
    assert caught.value.details == {"account_id": first.id}


async def test_what_is_disconnected_can_be_connected_again(
    sdk: Client, account: SandboxAccount, sandbox: SandboxProcess
) -> None:
    first = await sdk.connect(credentials(account))

    await sdk.disconnect(first.id)
    await sdk.disconnect(first.id)
    second = await sdk.connect(credentials(account))

    assert (second.status, second.account_name) == ("active", account.handle)
    assert second.id != first.id
    wait_until(lambda: sandbox.control.open_sessions(account.did) == 1, what="the end of the first session")


async def test_another_workspaces_account_cannot_be_disconnected(
    service: Service, sdk: Client, account: SandboxAccount
) -> None:
    connected = await sdk.connect(credentials(account))

    for client in (Sync(service, service.tenant()), Async(service, service.tenant())):
        with pytest.raises(NotFoundError):
            await client.disconnect(connected.id)


@pytest.fixture
def official(service: Service, tenant: Tenant) -> UniPost:
    return UniPost(api_key=tenant.key, base_url=service.url)


async def test_accounts_are_listed_and_found(
    sdk: Client, official: UniPost, account: SandboxAccount, tenant: Tenant
) -> None:
    connected = await sdk.connect(credentials(account))

    (listed,) = official.accounts.list()["data"]
    assert isinstance(listed, SocialAccount)
    assert (listed.id, listed.account_name, listed.profile_name) == (connected.id, account.handle, "Default")
    assert (listed.status, listed.external_user_id, listed.external_user_email) == ("active", None, None)
    assert official.accounts.get(connected.id) == listed
    everything = official.accounts.list(platform="bluesky", status="active", profile_id=tenant.profile_ids[0])
    assert everything["data"] == [listed]
    assert official.accounts.list(external_user_id="user 1")["data"] == []
    assert official.accounts.list(status="disconnected")["data"] == []
    with pytest.raises(ValidationError, match="status"):
        official.accounts.list(status="lost")


async def test_the_asynchronous_client_lists_and_finds(
    service: Service, tenant: Tenant, sdk: Client, account: SandboxAccount
) -> None:
    connected = await sdk.connect(credentials(account))
    client = AsyncUniPost(api_key=tenant.key, base_url=service.url)

    assert [one.id for one in (await client.accounts.list(status="active"))["data"]] == [connected.id]
    assert (await client.accounts.get(connected.id)).profile_name == "Default"


async def test_an_accounts_health(sdk: Client, official: UniPost, account: SandboxAccount) -> None:
    connected = await sdk.connect(credentials(account))

    health = official.accounts.health(connected.id)

    assert (health.social_account_id, health.platform, health.status) == (connected.id, "bluesky", "active")
    assert (health.last_successful_post_at, health.last_error) == (None, None)
    with pytest.raises(NotFoundError):
        official.accounts.health("sa_nobody")


async def test_profiles_from_their_making_to_their_end(
    sdk: Client, official: UniPost, account: SandboxAccount, tenant: Tenant
) -> None:
    made = official.profiles.create(name="Brand", branding_primary_color="#0a7cff")
    assert (made.name, made.workspace_id, made.account_count) == ("Brand", tenant.workspace_id, 0)
    assert official.profiles.get(made.id) == made
    assert [one.id for one in official.profiles.list()["data"]] == [made.id, tenant.profile_ids[0]]

    changed = official.profiles.update(made.id, name="Other", branding_primary_color="")
    assert (changed.name, changed.branding_primary_color) == ("Other", None)
    with pytest.raises(UniPostError) as taken:
        official.profiles.create(name="Other")
    assert (taken.value.status, taken.value.code) == (409, "profile_name_taken")

    await sdk.connect(credentials(account), profile_id=made.id)
    assert official.profiles.get(made.id).account_count == 1
    with pytest.raises(UniPostError) as used:
        official.profiles.delete(made.id)
    assert (used.value.status, used.value.code) == (409, "profile_in_use")
    assert used.value.details == {"accounts": 1, "unfinished_tasks": 0}

    official.profiles.delete(tenant.profile_ids[0])
    with pytest.raises(NotFoundError):
        official.profiles.get(tenant.profile_ids[0])


def test_the_workspace_is_read_and_changed(official: UniPost, tenant: Tenant) -> None:
    workspace = official.workspace.get()
    assert (workspace.id, workspace.name, workspace.usage_modes) == (tenant.workspace_id, "Acme", ["connect"])

    changed = official.workspace.update(name="Acme Ltd", per_account_monthly_limit=5)

    assert (changed.name, changed.per_account_monthly_limit) == ("Acme Ltd", 5)
    assert official.workspace.get() == changed


def test_a_link_to_the_hosted_form(service: Service, account: SandboxAccount, tenant: Tenant) -> None:
    sdk = UniPost(api_key=tenant.key, base_url=service.url)
    made = sdk.connect.create_session(platform="bluesky", external_user_id="user-42")

    with httpx.Client(trust_env=False, timeout=40, follow_redirects=True) as browser:
        (token,) = re.findall('name="token" value="([0-9a-f]+)"', browser.get(made.url).text)
        form = {"token": token, "handle": account.handle, "app_password": account.app_password}
        page = browser.post(made.url, data=form)

    assert f"{account.handle} is connected" in page.text
    session = sdk.connect.get_session(made.id)
    assert (made.status, session.status) == ("pending", "completed")
    assert (session.platform, session.external_user_id, session.url) == ("bluesky", "user-42", "")
    (connected,) = sdk.accounts.list(external_user_id="user-42")["data"]
    assert (connected.id, connected.connection_type) == (session.completed_social_account_id, "managed")
