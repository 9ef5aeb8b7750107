"""The hosted form, filled in by somebody who has only a link."""

import re

import httpx

from tests.canary.person import Person

FORM = "application/x-www-form-urlencoded"

_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


def typed(person: Person, *passwords: str, handle: str | None = None) -> httpx.Response:
    """Sends the form with each of the passwords, and then connects the account by the API: what that is answered tells
    whether the form has done so before."""
    url = _link(person)
    for password in passwords:
        token = _TOKEN.search(person.client.get(url).text)
        assert token is not None
        form = {"token": token[1], "handle": handle or person.handle, "app_password": password}
        person.client.post(url, data=form, follow_redirects=True)
    return person.connect()


def into_the_wrong_field(person: Person) -> httpx.Response:
    return typed(person, person.handle, handle=person.password)


def without_being_believed(person: Person) -> httpx.Response:
    """As another site's form, or a damaged one, or in an address."""
    url, password = _link(person), person.password
    person.client.post(url, data={"token": password, "handle": person.handle, "app_password": password})
    person.client.post(url, content=f"app_password={password}&x=%FF", headers={"Content-Type": FORM})
    person.client.post(url, json={"app_password": password})
    person.client.get(f"/connect/{password}")
    person.client.get(url, params={"app_password": password}, headers={"Cookie": f"connect={password}"})
    return person.connect()


def _link(person: Person) -> str:
    session = {"platform": "bluesky", "external_user_id": "user-42"}
    return str(person.client.post("/v1/connect/sessions", json=session).json()["data"]["url"])
