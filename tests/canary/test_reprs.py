"""Nothing prints a secret: every value object of the product is filled with one and printed."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel

from connections.settings import SettingsError

# `python -m cli` runs when it is imported.
ACTING = {"cli.__main__", "connections.migrations.env"}

CANARY = "cnry-k3vq-zt7m-2xwp"

# What holds a secret by its name, and is not an id, a prefix, a count or a moment of one.
SECRET = re.compile(
    r"pass(word|phrase)|secret|token|credentials|sealed|^key$|private|api_key$|fingerprint|^body$|^headers$|^stdin$|^env$"
    r"|^(broker|database|redis)_url$"
)


# Named like a secret, and none: what is nested hides itself, the others are names, counts and addresses.
HARMLESS = {
    "AccountHealth.token_expires_at",
    "ConnectRequest.credentials",
    "EncryptedSession.token_key",
    "HealthRow.token_expires_at",
    "KeyUse.tokens",
    "PlatformShape.password",
    "Playground.env",
    "ReconnectRequest.credentials",
    "Secrets.key",
    "Settings.env",
    "Webhook.secret_preview",
    "WebhookRow.secret_preview",
    "WorkerKeys.tokens",
    "_Exchange.secrets",
}


def value_objects() -> Iterator[type]:
    """Every dataclass and model that the product defines."""
    for package in ("connections", "messaging", "api_shim", "worker", "cli"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if module.name not in ACTING and ".versions." not in module.name:
                with suppress(SettingsError):  # what makes Celery's app on import wants a Redis, and holds no values
                    yield from _defined_in(module.name)


def _defined_in(name: str) -> Iterator[type]:
    for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass):
        if kind.__module__ == name and (dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel)):
            yield kind


def fields_of(kind: type) -> list[str]:
    if issubclass(kind, BaseModel):
        return [*kind.model_fields]
    assert dataclasses.is_dataclass(kind)
    return [field.name for field in dataclasses.fields(kind)]


def filled(kind: type, name: str) -> Any:
    """An instance with the canary in this field and nothing in the others."""
    values = dict.fromkeys(fields_of(kind), None) | {name: CANARY}
    if issubclass(kind, BaseModel):
        return kind.model_construct(**values)
    made = object.__new__(kind)
    for field, value in values.items():
        object.__setattr__(made, field, value)
    return made


@pytest.fixture(scope="module")
def holders() -> dict[str, Any]:
    """By class and field."""
    return {
        f"{kind.__qualname__}.{name}": filled(kind, name)
        for kind in value_objects()
        for name in fields_of(kind)
        if SECRET.search(name)
    }


def test_no_secret_is_printed(holders: dict[str, Any]) -> None:
    assert {name for name, holder in holders.items() if prints(holder)} == HARMLESS


def prints(holder: object) -> bool:
    return any(CANARY in printed for printed in (repr(holder), str(holder), f"{holder}", repr({"x": [holder]})))


def test_what_is_known_to_hold_secrets_is_looked_at(holders: dict[str, Any]) -> None:
    assert holders.keys() >= {
        "Credentials.password",
        "Session.refresh_token",
        "LiveSession.access_token",
        "AccountSession.access_token",
        "TakenRequest.sealed_session",
        "ConnectCommand.password",
        "AppPassword.secret",
        "BlueskyCredentials.app_password",
        "ClaimedTask.sealed_credentials",
        "NewApiKey.key",
        "Response.body",
        "Playground.app_password",
        "WorkerKeys.fingerprint",
    }
