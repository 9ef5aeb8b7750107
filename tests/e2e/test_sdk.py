"""The official SDK, unchanged, sync and async."""

import re
from typing import Any

import httpx
import pytest
from unipost import AsyncUniPost, UniPost
from unipost.errors import AuthError, UniPostError, ValidationError
from unipost.types import SocialAccount, _from_dict

from sandbox.client import SandboxAccount
from tests.e2e.stack import Service
from tests.factories import Tenant

SPELLINGS = {"as documented": ("handle", "app_password"), "as in the samples": ("identifier", "password")}


class Sync:
    """The SDK's synchronous client."""

    def __init__(self, service: Service, tenant: Tenant) -> None:
        self._client = UniPost(api_key=tenant.key, base_url=service.url)

    async def connect(self, credentials: dict[str, str], **more: str) -> SocialAccount:
        return self._client.accounts.connect(platform="bluesky", credentials=credentials, **more)


class Async:
    """The SDK's asynchronous client. Its `accounts` has no `connect` (0.7.0), so this sends the synchronous client's
    request through its transport, with its retries, its error types and its reading of `data`."""

    def __init__(self, service: Service, tenant: Tenant) -> None:
        self._client = AsyncUniPost(api_key=tenant.key, base_url=service.url)

    async def connect(self, credentials: dict[str, str], **more: str) -> SocialAccount:
        body: dict[str, Any] = {"platform": "bluesky", "credentials": credentials, **more}
        answer = await self._client.accounts._http.post("/v1/accounts/connect", body=body)
        return _from_dict(SocialAccount, answer["data"])


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
    assert re.fullmatch("sa_[0-9a-z]{26}", session.completed_social_account_id)
