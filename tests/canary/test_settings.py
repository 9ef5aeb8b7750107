"""A setting that is wrong is told without what it says."""

import pytest

from connections.settings import SettingsError, load_settings
from tests.canary.needles import Needles
from tests.canary.person import canary

PASSWORD = canary("a server's password")

WRONG = {
    "no such scheme": ("CONNECTOR_REDIS_URL", f"http://:{PASSWORD}@cache:6379/0"),
    "no such database": ("CONNECTOR_DATABASE_URL", f"mysql://connector:{PASSWORD}@db/connector"),
    "a Postgres URL that nobody reads": ("CONNECTOR_DATABASE_URL", f"postgresql://connector:{PASSWORD}@[::1/db"),
    "an origin with more": ("CONNECTOR_PLC_URL", f"https://plc.directory/?token={PASSWORD}"),
    "a level": ("CONNECTOR_LOG_LEVEL", PASSWORD),
    "no such broker": ("CONNECTOR_BROKER_URL", f"http://connector:{PASSWORD}@rabbit:5672/"),
    "a broker's options": ("CONNECTOR_BROKER_URL", f"amqps://connector:{PASSWORD}@rabbit:5671/?ssl_cert_reqs=none"),
    "an unencoded mark": ("CONNECTOR_REDIS_URL", f"redis://:{PASSWORD}#1@cache:6379/0"),
    "an unencoded slash": ("CONNECTOR_REDIS_URL", f"redis://:{PASSWORD}/1@cache:6379/0"),
}


@pytest.mark.parametrize(("variable", "value"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_not_repeated(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    needles = Needles()
    needles.add("the password", PASSWORD)

    with pytest.raises(SettingsError, match=variable) as caught:
        load_settings()

    assert not needles.found_in(str(caught.value).encode())
