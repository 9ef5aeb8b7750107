"""The official SDK's webhooks, unchanged: what it makes is told of an account, and what it verifies is ours."""

from collections.abc import Iterator

import pytest
from unipost import UniPost
from unipost.errors import UniPostError, ValidationError

from sandbox.client import SandboxAccount
from tests.e2e.stack import Service
from tests.factories import Tenant
from tests.receiver import Receiver, running_receiver
from tests.servers import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def sdk(service: Service, tenant: Tenant) -> UniPost:
    return UniPost(api_key=tenant.key, base_url=service.url)


def test_all_that_it_can_do(sdk: UniPost) -> None:
    made = sdk.webhooks.create(name="Billing", url="https://example.com/hook", events=["account.connected"])
    assert made.secret.startswith("whsec_")
    assert made.secret_preview.endswith(made.secret[-4:])
    assert (made.name, made.url, made.events, made.active) == (
        "Billing",
        "https://example.com/hook",
        ["account.connected"],
        True,
    )

    (listed,) = sdk.webhooks.list()["data"]
    seen = sdk.webhooks.get(made.id)
    assert listed == seen
    assert (seen.id, seen.secret, seen.created_at) == (made.id, None, made.created_at)

    changed = sdk.webhooks.update(made.id, name="Other", events=["*"], active=False)
    assert (changed.name, changed.events, changed.active, changed.url) == ("Other", ["*"], False, made.url)

    rotated = sdk.webhooks.rotate(made.id)
    assert rotated.secret not in {None, made.secret}

    sdk.webhooks.delete(made.id)
    assert sdk.webhooks.list()["data"] == []
    with pytest.raises(UniPostError) as caught:
        sdk.webhooks.get(made.id)
    assert caught.value.status == 404


def test_a_secret_of_ones_own_and_a_wrong_event(sdk: UniPost) -> None:
    made = sdk.webhooks.create(
        name="Mine", url="https://example.com/", events=["*"], active=False, secret="0123456789abcdef"
    )
    assert (made.secret, made.secret_preview, made.active) == ("0123456789abcdef", "…cdef", False)
    with pytest.raises(ValidationError, match=r"post\.published"):
        sdk.webhooks.create(name="Wrong", url="https://example.com/", events=["post.published"])


def test_an_account_that_is_connected_is_told_and_verified(
    sdk: UniPost, receiver: Receiver, account: SandboxAccount
) -> None:
    hook = sdk.webhooks.create(name="hook", url=receiver.url, events=["account.connected"])
    connected = sdk.accounts.connect(
        platform="bluesky", credentials={"handle": account.handle, "app_password": account.app_password}
    )
    wait_until(lambda: receiver.got, what="the event")

    (got,) = receiver.got
    assert got.is_signed_with(hook.secret)
    assert not got.is_signed_with("another-secret-than-that")
    assert got.event["event"] == got.headers["x-unipost-event"] == "account.connected"
    assert got.event["data"]["id"] == connected.id
    assert got.event["data"]["account_name"] == account.handle
    assert account.app_password not in got.body.decode()
