"""The API with a RabbitMQ for its messages."""

import asyncio
import itertools
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api_shim.queue import CeleryQueue
from connections.errors import QueueUnavailable
from connections.messages import LAST_BEGUN_KEY, Queue
from connections.settings import Settings
from tests.doubles import until
from tests.integration.api_shim.conftest import Api
from tests.rabbit import Rabbit, running_rabbit

on_rabbitmq = pytest.mark.parametrize("api", ["rabbitmq"], indirect=True)


def begun(api: Api, sent_at: float) -> None:
    """As workers tell it."""
    with api.valkey.client() as client:
        client.set(LAST_BEGUN_KEY, sent_at)


@on_rabbitmq
async def test_a_message_carries_the_id_and_nothing_else(api: Api, rabbit: Rabbit) -> None:
    accepted = await api.connect(Prefer="respond-async")

    message = await asyncio.to_thread(rabbit.take, Queue.CONNECT)
    headers = message.headers
    assert (headers["task"], headers["id"]) == ("connector.connect_account", accepted.json()["data"]["id"])
    assert message.properties["delivery_mode"] == 1  # on no disk
    assert "alice" not in message.body
    assert "canary" not in message.body


@on_rabbitmq
async def test_the_age_of_the_oldest_message_is_no_more_than_since_the_queue_was_empty(api: Api) -> None:
    await until(lambda: not api.shim.queue_age.is_unknown)
    assert await age(api) == 0
    before = time.time()
    await api.connect(Prefer="respond-async")
    sent = time.time()
    await until(lambda: time.time() > sent + 0.05)

    assert 0.05 <= await age(api) <= time.time() - before + 1  # it was seen empty every half a second


@on_rabbitmq
async def test_the_age_is_no_more_than_since_the_last_message_was_sent_that_was_begun(api: Api) -> None:
    await api.connect(Prefer="respond-async")
    sent = time.time()
    await until(lambda: time.time() > sent + 0.5)
    later = time.time() - 0.1
    begun(api, sent_at=later)

    assert 0.1 <= await age(api) <= time.time() - later


@on_rabbitmq
async def test_ready_means_that_the_messages_can_be_sent(api: Api) -> None:
    with api.valkey.client() as redis:
        redis.set("connector:worker-alive", "1")
    assert (await api.client.get("/readyz")).status_code == 200
    api.broker.stop()
    await until(lambda: api.shim.queue_age.is_unknown)

    answer = await api.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["error"]["details"] == {"database": "ok", "queue": "unreachable", "worker": "ok"}


@on_rabbitmq
async def test_a_password_that_is_refused_is_a_503(api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = api.shim.settings.broker_url.replace(":secret@", ":canary-wrong@")
    queue = CeleryQueue(Settings(redis_url=api.valkey.url, broker_url=url))
    with pytest.raises(QueueUnavailable):
        await asyncio.to_thread(queue.send, "ct_1")
    queue.close()
    assert "canary" not in caplog.text


@on_rabbitmq
async def test_what_it_drops_is_not_sent(api: Api, rabbit: Rabbit) -> None:
    """Somebody deletes the queue: that is noticed by the first message, and the second finds it made anew."""
    assert (await api.connect("before.test", Prefer="respond-async")).status_code == 202
    await asyncio.to_thread(rabbit.forget)
    assert (await api.connect("during.test", Prefer="respond-async")).status_code == 503
    handles = (f"after{number}.test" for number in itertools.count())
    async with asyncio.timeout(10):  # nobody tries for a moment after a failure
        while (await api.connect(next(handles), Prefer="respond-async")).status_code != 202:
            pass
    assert await asyncio.to_thread(rabbit.depth, Queue.CONNECT) == 1


async def age(api: Api) -> float:
    return await api.shim.queue_age._age_of_oldest()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, with its key, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(secret + built.public_bytes(serialization.Encoding.PEM))
    return path


def test_requests_for_sessions_have_the_queue_of_upkeep(rabbit: Rabbit) -> None:
    queue = CeleryQueue(Settings(redis_url="redis://127.0.0.1:1", broker_url=rabbit.url))
    try:
        queue.ask_for_session("sq_1")
        assert rabbit.depth(Queue.UPKEEP) == 1
    finally:
        queue.close()


@pytest.fixture(scope="module")
def tls_rabbit(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Rabbit]:
    with running_rabbit(tmp_path_factory.mktemp("tls_rabbit"), certificate=certificate) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "is_trusted", "is_sent"),
    [("localhost", True, True), ("localhost", False, False), ("127.0.0.1", True, False)],
    ids=["its own", "of a stranger", "of another name"],
)
def test_its_certificate_is_checked(
    tls_rabbit: Rabbit, certificate: Path, monkeypatch: pytest.MonkeyPatch, host: str, is_trusted: bool, is_sent: bool
) -> None:
    if is_trusted:
        monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(certificate))
    url = tls_rabbit.url.replace("localhost", host)
    queue = CeleryQueue(Settings(redis_url="redis://127.0.0.1:1", broker_url=url))
    try:
        if is_sent:
            queue.send("ct_1")
            assert queue.unread() == 1
        else:
            with pytest.raises(QueueUnavailable):
                queue.send("ct_1")
    finally:
        queue.close()
