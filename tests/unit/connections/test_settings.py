import pytest

from connections.settings import Settings, SettingsError, load_settings

WRONG = {
    "CONNECTOR_LOG_LEVEL": "LOUD",
    "CONNECTOR_LOG_FORMAT": "xml",
    "CONNECTOR_PLC_URL": "ftp://plc",
    "CONNECTOR_BLUESKY_URL": "https://bsky.social/xrpc",
    "CONNECTOR_PUBLIC_URL": "https://connect.example.com/path",
    "CONNECTOR_DNS_SERVERS": "one.one.one.one",
    "CONNECTOR_DATABASE_URL": "mysql://host/db",
    "CONNECTOR_REDIS_URL": "http://localhost",
    "CONNECTOR_BROKER_URL": "redis://localhost",
    "CONNECTOR_SYNC_WAIT_SECONDS": "61",
    "CONNECTOR_WORKER_THREADS": "many",
    "CONNECTOR_KEY_STORE": "package.module",
    "CONNECTOR_FAILED_LOGINS_PER_ACCOUNT": "10",
    "CONNECTOR_FAILED_LOGINS_PER_WORKSPACE": "0/60",
    "CONNECTOR_ENV": "staging",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items())
def test_a_wrong_setting_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_rows_of_a_batch_are_kept_until_its_last_one_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_TASK_RETENTION_DAYS", "1")
    load_settings()
    monkeypatch.setenv("CONNECTOR_BATCH_TASK_SECONDS", "86401")

    with pytest.raises(SettingsError, match="CONNECTOR_TASK_RETENTION_DAYS must not be shorter"):
        load_settings()


PRODUCTION = {
    "CONNECTOR_ENV": "production",
    "CONNECTOR_KEYS_FILE": "keys.json",
    "CONNECTOR_DATABASE_URL": "postgresql://db/connector",
    "CONNECTOR_REDIS_URL": "rediss://cache",
}
UNFIT = {
    "no keys": ("CONNECTOR_KEYS_FILE", ""),
    "no database": ("CONNECTOR_DATABASE_URL", ""),
    "no Redis": ("CONNECTOR_REDIS_URL", ""),
    "a development PDS": ("CONNECTOR_DEV_PDS_URL", "http://localhost:2583"),
    "a development directory": ("CONNECTOR_DEV_PLC_URL", "http://localhost:2582"),
    "a plain PLC": ("CONNECTOR_PLC_URL", "http://localhost:2582"),
    "a plain form": ("CONNECTOR_PUBLIC_URL", "http://connect.example.com"),
}


@pytest.mark.parametrize(("name", "value"), UNFIT.values(), ids=UNFIT)
def test_production_refuses(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for key, setting in (PRODUCTION | {name: value}).items():
        monkeypatch.setenv(key, setting)

    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_production_starts_when_all_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, setting in PRODUCTION.items():
        monkeypatch.setenv(key, setting)

    assert load_settings().database == "postgresql+psycopg://db/connector"


def test_production_takes_a_key_store_for_key_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, setting in (PRODUCTION | {"CONNECTOR_KEYS_FILE": "", "CONNECTOR_KEY_STORE": "kms.store:open"}).items():
        monkeypatch.setenv(key, setting)

    assert load_settings().key_store == "kms.store:open"


def test_defaults_need_nothing() -> None:
    settings = Settings()

    assert settings.plc_url == "https://plc.directory"
    assert settings.sync_wait_seconds == 25
    assert settings.database.startswith("sqlite:///")


@pytest.mark.parametrize(
    "url",
    [
        "amqp://",
        "amqp://user:p@ss@host",
        "amqp://user:password@host/a/b",
        "amqp://host:5672/vhost?ssl_cert_reqs=none",
        "amqps://host;amqp://other",
        "amqp://host:0",
        "memory://",
    ],
)
def test_a_broker_is_one_amqp_url_without_options(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A query could turn the checks of TLS off, and a semicolon name a second broker without it."""
    monkeypatch.setenv("CONNECTOR_BROKER_URL", url)

    with pytest.raises(SettingsError, match=r"^CONNECTOR_BROKER_URL: must "):
        load_settings()


def test_the_messages_go_through_redis_unless_there_is_a_broker() -> None:
    assert Settings(redis_url="redis://cache").broker == "redis://cache"
    assert Settings(redis_url="redis://cache", broker_url="amqps://u:p@rabbit//").broker == "amqps://u:p@rabbit//"
    with pytest.raises(SettingsError, match="CONNECTOR_REDIS_URL"):
        _ = Settings(broker_url="amqp://rabbit").broker


def test_nameservers_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_DNS_SERVERS", "127.0.0.1:5353, [::1]:53")

    assert load_settings().dns_servers == ("127.0.0.1:5353", "[::1]:53")
