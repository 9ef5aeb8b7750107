"""The documentation page as it is sent: what it loads, and what it allows itself."""

import re

import pytest

from tests.unit.api_shim.conftest import Api


async def test_it_loads_nothing_from_elsewhere(api: Api) -> None:
    page = (await api.client.get("/docs")).text

    links = [link for link in re.findall(r'(?:src|href)="([^"]+)"', page) if link != "data:,"]
    assert len(links) >= 4
    for link in links:
        assert re.fullmatch("/[a-z]+[^:]*", link)
        assert (await api.client.get(link)).status_code == 200


async def test_it_allows_what_this_service_sends_and_nothing_else(api: Api) -> None:
    headers = (await api.client.get("/docs")).headers

    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy.pop("img-src") == "'self' data:"
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["redoc.standalone.js", "batch.html", "__init__.py", "..%2Fbatch.js", "nothing.css"])
async def test_only_what_it_loads_is_there(api: Api, name: str) -> None:
    assert (await api.client.get(f"/docs/assets/{name}")).status_code == 404
