"""Whatever the environment says: settings in their bounds, or one line that names the variable and tells no secret."""

import math
from typing import Any
from urllib.parse import quote

import pytest
from annotated_types import Ge, Gt, Le
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kombu.utils.url import parse_url as parse_broker_url
from redis.connection import parse_url
from sqlalchemy import make_url

from connections.settings import Environment, Settings, SettingsError, load_settings

NAMES = [f"CONNECTOR_{name.upper()}" for name in Settings.model_fields]
URLS = ["CONNECTOR_DATABASE_URL", "CONNECTOR_REDIS_URL", "CONNECTOR_BROKER_URL"]
BROKER_URL_PARTS = {"transport", "hostname", "port", "userid", "password", "virtual_host"}
ORIGINS = [name for name in NAMES if name.endswith("_URL") and name not in URLS]
PRODUCTION = {
    "CONNECTOR_ENV": "production",
    "CONNECTOR_KEYS_FILE": "keys.json",
    "CONNECTOR_DATABASE_URL": "postgresql://db/connector",
    "CONNECTOR_REDIS_URL": "rediss://cache",
}

# What an environment can hold: anything without a NUL, bytes that are no UTF-8 as lone surrogates.
surrogates = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"])
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | surrogates)
numbers = st.sampled_from(["inf", "-inf", "nan", "1e400", "1e300", "0", "-0", "1", "60.5", "1_0", "9" * 5000, "٣"])
schemes = st.sampled_from(
    ["postgresql", "postgres", "sqlite", "redis", "rediss", "amqp", "amqps", "http", "HTTPS", "mysql"]
)
hosts = st.sampled_from(
    ["h", "h.test", "[::1]", "[::1", "h]", "127.0.0.1", "", ".", "ho st", "h\u2100", "x\n", "\udcff"]
)
ports = st.sampled_from(["", ":", ":1", ":65536", ":99999", ":x", ":-1", ":0", ":٣", ":canary"])
tails = st.sampled_from(["", "/", "/0", "/canary", "/99", "//", "?", "?db=1", "#canary", "\r\n"])
secrets_ = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=12).map(lambda text: f"canary{text}")
urls = st.builds(
    lambda scheme, secret, host, port, tail: f"{scheme}://u:{secret}@{host}{port}{tail}",
    schemes,
    secrets_,
    hosts,
    ports,
    tails,
) | st.builds(lambda scheme, host, port, tail: f"{scheme}://{host}{port}{tail}", schemes, hosts, ports, tails)
servers = st.lists(st.builds("{}{}".format, hosts, ports) | texts, max_size=3).map(",".join)
values = texts | numbers | urls | servers


def load(environment: dict[str, str]) -> Settings | str:
    """The settings, or the message. Raises whatever else the environment brings about."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            return load_settings()
        except SettingsError as error:
            return str(error)


def check_bounds(loaded: Settings) -> None:
    for name, field in Settings.model_fields.items():
        value: Any = getattr(loaded, name)
        for bound in field.metadata:
            match bound:
                case Ge(ge=least):
                    assert value >= least
                case Gt(gt=limit):
                    assert value > limit
                case Le(le=most):
                    assert value <= most
        assert not isinstance(value, float) or math.isfinite(value)
    make_url(loaded.database)
    if loaded.env is Environment.PRODUCTION:
        assert loaded.redis
        assert {loaded.plc_url[:8], loaded.bluesky_url[:8]} == {"https://"}


@settings(max_examples=500)
@given(st.sampled_from(NAMES), values)
@example("CONNECTOR_PATIENT_TASK_SECONDS", "inf")
@example("CONNECTOR_PLC_URL", "https://u:canary\u2100@host")
@example("CONNECTOR_DATABASE_URL", "postgresql://u:canary@[::1/db")
def test_one_wrong_setting_is_one_line_that_names_it_and_repeats_no_secret(name: str, value: str) -> None:
    loaded = load({name: value})

    if isinstance(loaded, Settings):
        check_bounds(loaded)
    else:
        assert len(loaded.splitlines()) == 1
        assert name in loaded
        if name != "CONNECTOR_DNS_SERVERS":  # addresses are no secret; the wrong one of several is worth telling
            assert "canary" not in loaded


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=4))
def test_production_starts_only_with_what_it_needs(environment: dict[str, str]) -> None:
    loaded = load(PRODUCTION | environment)

    if isinstance(loaded, Settings):
        check_bounds(loaded)
    else:
        assert len(loaded.splitlines()) == 1
        assert any(name in loaded for name in PRODUCTION | environment)


@given(
    st.text(min_size=1),
    st.integers(1, 65535),
    st.sampled_from(["h", "[::1]", "db.internal", "127.0.0.1", "under_score"]),
)
def test_any_password_can_be_in_a_url(password: str, port: int, host: str) -> None:
    encoded = quote(password, safe="")
    loaded = load(
        {
            "CONNECTOR_DATABASE_URL": f"postgresql://u:{encoded}@{host}:{port}/name",
            "CONNECTOR_REDIS_URL": f"rediss://u:{encoded}@{host}:{port}/1",
            "CONNECTOR_BROKER_URL": f"amqps://u:{encoded}@{host}:{port}/{encoded}",
        }
    )

    assert isinstance(loaded, Settings)
    database, cache = make_url(loaded.database), parse_url(loaded.redis)  # type: ignore[no-untyped-call]
    assert (database.password, database.host, database.port) == (password, host.strip("[]"), port)
    assert (cache["password"], cache["host"], cache["port"]) == (password, host.strip("[]"), port)
    broker = parse_broker_url(loaded.broker)
    assert (broker["password"], broker["hostname"], broker["port"]) == (password, host.strip("[]"), port)
    assert broker["virtual_host"] == password


@settings(max_examples=300)
@given(urls)
def test_what_is_taken_for_a_url_is_one_for_those_who_use_it(url: str) -> None:
    database, cache, broker = (load({name: url}) for name in URLS)

    if isinstance(database, Settings):
        make_url(database.database)
    if isinstance(cache, Settings):
        parse_url(cache.redis)  # type: ignore[no-untyped-call]
    if isinstance(broker, Settings):
        assert parse_broker_url(broker.broker_url).keys() == BROKER_URL_PARTS


@given(
    st.sampled_from(ORIGINS),
    st.from_regex(r"https?://[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?(:[1-9][0-9]{0,3})?/?", fullmatch=True),
)
def test_an_origin_is_kept_without_its_slash(name: str, origin: str) -> None:
    loaded = load({name: origin})

    assert isinstance(loaded, Settings)
    assert getattr(loaded, name.removeprefix("CONNECTOR_").lower()) == origin.removesuffix("/")
