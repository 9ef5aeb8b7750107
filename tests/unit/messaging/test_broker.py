"""How Celery is told to reach the broker."""

import ssl
from typing import Any

import pytest

from api_shim.queue import celery_settings as of_the_api
from connections.settings import Settings
from messaging.broker import broker_settings

REDIS = "redis://127.0.0.1:1"


def told(**urls: str) -> dict[str, Any]:
    return broker_settings(Settings(**{"redis_url": REDIS, **urls}))  # type: ignore[arg-type]


def test_redis_is_the_broker_unless_there_is_another() -> None:
    assert told() == {"broker_url": REDIS}
    assert told(broker_url="amqp://u:p@rabbit//") == {"broker_url": "amqp://u:p@rabbit//"}


def test_certificates_are_checked() -> None:
    assert told(redis_url="rediss://cache")["broker_use_ssl"] == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


@pytest.mark.parametrize("host", ["rabbit.test", "localhost", "10.0.0.1"])
def test_a_rabbitmq_must_show_a_certificate_of_its_name(host: str) -> None:
    of_rabbitmq = told(redis_url="rediss://cache", broker_url=f"amqps://u:p@{host}:5671//")
    assert of_rabbitmq["broker_use_ssl"] == {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host}


def settings_of(side: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    if side == "api":
        return of_the_api(settings)
    monkeypatch.setenv("CONNECTOR_REDIS_URL", REDIS)
    from worker.app import celery_settings  # noqa: PLC0415  reads the settings when imported

    return celery_settings(settings)


@pytest.mark.parametrize("side", ["api", "worker"])
def test_sent_is_what_rabbitmq_says_it_has_taken_in_time(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = settings_of(side, Settings(redis_url=REDIS, broker_url="amqp://rabbit"), monkeypatch)
    options = told["broker_transport_options"]
    assert options["confirm_publish"] is True
    assert 0 < options["read_timeout"] <= 5
    assert 0 < options["write_timeout"] <= 5
    assert 0 < told["broker_connection_timeout"] <= 3
    assert "broker_transport" not in told
