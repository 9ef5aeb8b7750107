"""How Celery reaches the broker: the RabbitMQ of CONNECTOR_BROKER_URL, else Redis."""

import ssl
from typing import Any
from urllib.parse import urlsplit

from connections.settings import Settings


def broker_settings(settings: Settings) -> dict[str, Any]:
    """Celery's settings of the address and of certificates. Raises `SettingsError` when there is no Redis URL."""
    parts = urlsplit(settings.broker)
    options: dict[str, dict[str, Any]] = {
        # Celery leaves the certificate of a rediss:// broker unchecked unless told otherwise.
        "rediss": {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}},
        # And of an amqps:// one it checks neither who signed it nor, without a name, whose it is.
        "amqps": {"broker_use_ssl": {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}},
    }
    return {"broker_url": settings.broker, **options.get(parts.scheme, {})}
