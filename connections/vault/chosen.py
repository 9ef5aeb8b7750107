"""The key store that the settings name."""

import importlib

from connections.settings import Settings, SettingsError
from connections.vault.files import FileKeyStore
from connections.vault.ring import KeysMissing
from connections.vault.store import KeyStore, generate_keys


def open_key_store(settings: Settings) -> KeyStore:
    """Raises `SettingsError` when CONNECTOR_KEY_STORE does not lead to a factory of key stores."""
    if not settings.key_store:
        return FileKeyStore(settings)
    module, _, factory = settings.key_store.partition(":")
    try:
        store: object = getattr(importlib.import_module(module), factory)(settings)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"CONNECTOR_KEY_STORE: {error}") from None
    if not isinstance(store, KeyStore):
        raise SettingsError(f"CONNECTOR_KEY_STORE: {settings.key_store} makes no key store")
    return store


def ensure_development_keys(settings: Settings) -> None:
    """Makes the keys that development lacks; production demands them instead."""
    if settings.is_production:
        return
    store = open_key_store(settings)
    try:
        store.load_excerpt()
    except KeysMissing:
        generate_keys(store, settings.env)
