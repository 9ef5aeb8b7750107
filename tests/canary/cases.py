"""Everything that can be done with a password, and what must come of it.

A case is one call that has the person's password in it somewhere, or lets Bluesky say it back. `expect` is status and
code of the answer, so that a case which no longer gets where it is meant to go is noticed.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx

from sandbox.client import ControlClient
from sandbox.faults import (
    Delay,
    DidDocElsewhere,
    Drip,
    Drop,
    Fault,
    Garbage,
    GzipBomb,
    Huge,
    RateLimited,
    Redirect,
    Status,
    WrongDid,
)
from sandbox.message import Part
from tests.canary import batch, form
from tests.canary.person import Person

LOGIN = "com.atproto.server.createSession"
DELETE_SESSION = "com.atproto.server.deleteSession"

Expected = tuple[int, str | None]

CONNECTED: Expected = (201, None)
GIVEN: Expected = (200, None)
ACCEPTED: Expected = (202, None)
REJECTED: Expected = (401, "UNAUTHORIZED")
INVALID: Expected = (422, "VALIDATION_ERROR")
FAILED: Expected = (500, "UPSTREAM_ERROR")
LIMITED: Expected = (429, "UPSTREAM_RATE_LIMITED")


@dataclass(frozen=True)
class Case:
    """`act` makes the call, after `prepare` has set Bluesky up."""

    expect: Expected
    act: Callable[[Person], httpx.Response] = Person.connect
    prepare: Callable[[ControlClient, Person], object] = lambda _control, _person: None


def meets(
    expect: Expected, fault: Callable[[Person], Fault], act: Callable[[Person], httpx.Response] = Person.connect
) -> Case:
    """The account's logins meet this fault."""

    def order(control: ControlClient, person: Person) -> None:
        control.order(replace(fault(person), method=LOGIN, account=person.did))

    return Case(expect, act, order)


def stumbles(fault: Callable[[Person], Fault]) -> Case:
    """The first two logins meet this fault, the third succeeds."""
    return meets(CONNECTED, lambda person: replace(fault(person), times=2))


def sends(content: Callable[[Person], object], expect: Expected = INVALID) -> Case:
    """This instead of the documented body."""

    def post(person: Person) -> httpx.Response:
        body = content(person)
        return person.post(body if isinstance(body, bytes) else json.dumps(body).encode())

    return Case(expect, post)


def says(header: str, value: Callable[[Person], str], expect: Expected = CONNECTED) -> Case:
    """The documented body, and the password in this header."""
    return Case(expect, lambda person: person.connect(headers={header: value(person)}))


def credentials(person: Person, **members: object) -> dict[str, object]:
    return {"platform": "bluesky", "credentials": {"handle": person.handle, "app_password": person.password, **members}}


def in_fields_nobody_knows(person: Person) -> dict[str, object]:
    password = person.password
    return {**credentials(person, note=password, password=password), "password": password, "extra": [{"x": password}]}


def uploads(body: Callable[[Person], str | bytes], expect: Expected = ACCEPTED, media_type: str = batch.CSV) -> Case:
    """A file of rows."""
    return Case(expect, lambda person: batch.sent(person, body(person), media_type))


def twice(person: Person) -> httpx.Response:
    person.connect()
    return person.connect()


def and_polls(person: Person, password: str | None = None) -> httpx.Response:
    accepted = person.connect(password, headers={"Prefer": "respond-async"})
    person.client.get(accepted.headers["location"], params={"wait": 30})
    return accepted


def connected(person: Person) -> str:
    """The account's id."""
    answer = person.connect()
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def given_out(person: Person) -> httpx.Response:
    """Asks for a session as another service of the operator does. Its answer is the one that is meant to have a token,
    so it is not among those that are searched."""
    account_id = connected(person)
    answer = httpx.post(
        person.client.base_url.join(f"/internal/accounts/{account_id}/session"),
        headers={"Authorization": f"Bearer {person.key}"},
        timeout=40,
        trust_env=False,
    )
    assert answer.json()["data"]["access_token"]
    return answer


def and_disconnects(person: Person) -> httpx.Response:
    account_id = connected(person)
    return person.client.delete(f"/v1/accounts/{account_id}")


def lets_no_session_end(control: ControlClient, person: Person) -> None:
    control.order(Status(status=500, body=echo(person), method=DELETE_SESSION, account=person.did, times=1))


def echo(person: Person) -> str:
    """What a server sends that repeats what it was sent."""
    return json.dumps(
        {"error": "InvalidRequest", "message": f"bad password {person.password}", "password": person.password}
    )


def untidy_session(person: Person) -> str:
    return json.dumps(
        {"did": person.did, "handle": person.handle, "accessJwt": f"{person.password}\n", "refreshJwt": person.password}
    )


CASES: dict[str, Case] = {
    # --- it works
    "a success": Case(CONNECTED),
    "the aliases of the samples": sends(
        lambda person: {
            "platform": "bluesky",
            "credentials": {"identifier": person.handle, "password": person.password},
        },
        CONNECTED,
    ),
    "polled": Case(ACCEPTED, and_polls),
    "polled in vain": Case(ACCEPTED, lambda person: and_polls(person, f"{person.password}-not")),
    "waited for too shortly": meets(
        ACCEPTED,
        lambda _person: Delay(after=2, times=1),
        lambda person: person.connect(headers={"Prefer": "wait=1"}),
    ),
    "connected already": Case((409, "ACCOUNT_ALREADY_CONNECTED"), twice),
    "a session given out": Case(GIVEN, given_out),
    "disconnected": Case((200, None), and_disconnects),
    "disconnected from a server that will not have it": Case((200, None), and_disconnects, lets_no_session_end),
    # --- wrong credentials
    "a wrong password": Case(REJECTED, lambda person: person.connect(f"{person.password}-not")),
    "blanks around": Case(REJECTED, lambda person: person.connect(f" {person.password} \t-not")),
    "fields exchanged": Case(INVALID, lambda person: person.connect(person.handle, handle=person.password)),
    "password as a profile link": Case(
        INVALID, lambda person: person.connect(handle=f"https://bsky.app/profile/{person.password}")
    ),
    "password as an e-mail address": Case(INVALID, lambda person: person.connect(handle=f"{person.password}@x.test")),
    "password as a handle": Case(INVALID, lambda person: person.connect(handle=f"{person.password}.test")),
    "password as a DID": Case(INVALID, lambda person: person.connect(handle=f"did:plc:{person.password}")),
    "password as a foreign handle": Case(INVALID, lambda person: person.connect(handle=f"ä {person.password}")),
    "an unknown handle": Case(INVALID, lambda person: person.connect(handle="nobody-at-all.test")),
    "the main password": Case(INVALID, lambda person: person.connect(person.main_password)),
    "an e-mail code wanted": Case(
        INVALID,
        lambda person: person.connect(person.main_password),
        lambda control, person: control.require_email_code(person.did),
    ),
    "taken down": Case(INVALID, prepare=lambda control, person: control.take_down(person.did)),
    "taken down, by DID": Case(
        INVALID,
        lambda person: person.connect(person.main_password, handle=person.did),
        lambda control, person: control.take_down(person.did),
    ),
    "deactivated": Case(
        INVALID,
        lambda person: person.connect(handle=person.did),
        lambda control, person: control.deactivate(person.did),
    ),
    "tombstoned": Case(INVALID, prepare=lambda control, person: control.tombstone(person.did)),
    # --- bodies nobody can read
    "broken JSON": sends(lambda person: json.dumps(credentials(person)).encode()[:-3]),
    "no JSON": sends(lambda person: f"handle={person.handle}&app_password={person.password}".encode()),
    "not UTF-8": sends(lambda person: b'{"password": "\xff' + person.password.encode() + b'"}'),
    "a string": sends(lambda person: person.password),
    "an array": sends(lambda person: [person.password]),
    "credentials as a string": sends(lambda person: {"platform": "bluesky", "credentials": person.password}),
    "credentials as an array": sends(lambda person: {"platform": "bluesky", "credentials": [person.password]}),
    "password in an array": sends(lambda person: credentials(person, app_password=[person.password])),
    "password in an object": sends(lambda person: credentials(person, app_password={"value": person.password})),
    "password as a key": sends(
        lambda person: {"platform": "bluesky", "credentials": {person.password: "app_password"}}
    ),
    "password as platform": Case(INVALID, lambda person: person.connect(platform=person.password)),
    "password as profile": Case(INVALID, lambda person: person.connect(profile_id=person.password)),
    "password for an OAuth platform": Case(INVALID, lambda person: person.connect(platform="twitter")),
    "unknown fields": sends(in_fields_nobody_knows, CONNECTED),
    "too long a password": Case(INVALID, lambda person: person.connect(person.password * 40)),
    "too long a handle": Case(INVALID, lambda person: person.connect(handle=person.password * 100)),
    "too long a body": Case((413, "PAYLOAD_TOO_LARGE"), lambda person: person.connect(padding=person.password * 5_000)),
    # --- places where no password belongs
    "in the query": Case(CONNECTED, lambda person: person.connect(params={"app_password": person.password})),
    "in the path": Case((404, "NOT_FOUND"), lambda person: person.client.get(f"/v1/{person.password}")),
    "as a task": Case((404, "NOT_FOUND"), lambda person: person.client.get(f"/v1/connect/tasks/{person.password}")),
    "as a wait": Case(
        INVALID, lambda person: person.client.get("/v1/connect/tasks/ct_1", params={"wait": person.password})
    ),
    "by another method": Case(
        (405, "METHOD_NOT_ALLOWED"),
        lambda person: person.client.put("/v1/accounts/connect", json=credentials(person)),
    ),
    "as Prefer": says("Prefer", lambda person: f'{person.password}, wait="{person.password}"'),
    # A well-formed one is kept, as the contract has it: whoever sends a password as the name of a request publishes it.
    "as X-Request-Id": says("X-Request-Id", lambda person: f"password {person.password}"),
    "as Idempotency-Key": says("Idempotency-Key", lambda person: f"key-{person.password}"),
    "as a key": says("Authorization", lambda person: f"Bearer {person.password}", REJECTED),
    "as a user's password": says(
        "Authorization",
        lambda person: "Basic " + base64.b64encode(f"{person.handle}:{person.password}".encode()).decode(),
        REJECTED,
    ),
    "as a cookie": says("Cookie", lambda person: f"session={person.password}"),
    "as a user agent": says("User-Agent", lambda person: person.password),
    "as a media type": says(
        "Content-Type", lambda person: f"application/{person.password}", (415, "UNSUPPORTED_MEDIA_TYPE")
    ),
    "as an encoding": says("Content-Encoding", lambda person: person.password, (415, "UNSUPPORTED_MEDIA_TYPE")),
    # --- typed into the hosted form
    "typed into a form": Case(
        (409, "ACCOUNT_ALREADY_CONNECTED"), lambda person: form.typed(person, f"{person.password}-not", person.password)
    ),
    "typed into the wrong field": Case(CONNECTED, form.into_the_wrong_field),
    "the main password in a form": Case(CONNECTED, lambda person: form.typed(person, person.main_password)),
    "a form that is not believed": Case(CONNECTED, form.without_being_believed),
    "a form that says it back": meets(
        REJECTED,
        lambda person: Status(status=401, error="AuthenticationRequired", message=person.password),
        lambda person: form.typed(person, person.password),
    ),
    # --- among many
    "a batch": uploads(batch.table),
    "a batch with a wrong one": uploads(lambda person: batch.table(person, f"{person.password}-not")),
    "a batch with it in every column": uploads(batch.in_every_column),
    "a batch of objects": uploads(batch.in_objects, media_type=batch.NDJSON),
    "a batch in one object": uploads(batch.in_one_object, media_type=batch.JSON),
    "a batch that says it back": meets(
        ACCEPTED,
        lambda person: Status(status=401, error="AuthenticationRequired", message=person.password),
        lambda person: batch.sent(person, batch.table(person)),
    ),
    "a batch cut short": uploads(batch.cut_short, INVALID, batch.JSON),
    "a batch with it as the heading": uploads(
        lambda person: batch.table(person, header=f"{person.password},app_password"), INVALID
    ),
    "a batch with an open quote": uploads(lambda person: f'{batch.table(person)}"{person.password}', INVALID),
    "a batch in UTF-16": uploads(lambda person: batch.table(person).encode("utf-16"), INVALID),
    "a batch with a huge cell": uploads(lambda person: batch.table(person, person.password * 4000), INVALID),
    "a batch of an unknown platform": Case(
        INVALID,
        lambda person: person.client.post(
            batch.BATCHES,
            params={"platform": person.password, "profile_id": person.password},
            content=batch.table(person),
            headers={"Content-Type": batch.CSV},
        ),
    ),
    # --- Bluesky misbehaves, and says the password back where it can
    "500 that repeats it": meets(FAILED, lambda person: Status(status=500, message=f"no {person.password}")),
    "503 with a page": stumbles(lambda person: Status(status=503, body=f"<html>{person.password}</html>")),
    "502 of an entryway": stumbles(lambda person: Status(status=502, error="UpstreamFailure", message=echo(person))),
    "401 that repeats it": meets(
        REJECTED, lambda person: Status(status=401, error="AuthenticationRequired", message=person.password)
    ),
    "400 that repeats it": meets(REJECTED, lambda person: Status(status=400, body=echo(person))),
    "403 in words nobody knows": meets(
        REJECTED, lambda person: Status(status=403, error="Odd", message=person.password)
    ),
    "200 that repeats it": meets(FAILED, lambda person: Status(status=200, body=echo(person))),
    "200 with tokens that are none": stumbles(lambda person: Status(status=200, body=untidy_session(person))),
    "headers that repeat it": stumbles(
        lambda person: Status(status=500, headers={"X-Debug": person.password, "Set-Cookie": person.password})
    ),
    "rate limited": meets(LIMITED, lambda _person: RateLimited(reset=300)),
    "rate limited in garbage": meets(
        LIMITED,
        lambda person: RateLimited(reset=person.password, retry_after=person.password, policy=person.password),
    ),
    "an error named after it": meets(
        REJECTED, lambda person: Status(status=401, error="E" + person.password.replace("-", ""))
    ),
    "HTML": stumbles(lambda _person: Garbage(form="html")),
    "JSON cut short": stumbles(lambda _person: Garbage(form="broken_json")),
    "JSON of wrong types": stumbles(lambda _person: Garbage(form="wrong_types")),
    "no object": stumbles(lambda _person: Garbage(form="not_an_object")),
    "nothing": stumbles(lambda _person: Garbage(form="empty")),
    "bytes": stumbles(lambda _person: Garbage(form="binary")),
    "too much": stumbles(lambda _person: Huge(size=4 * 1024 * 1024)),
    "a bomb": stumbles(lambda _person: GzipBomb(size=4 * 1024 * 1024)),
    "a redirect": stumbles(lambda person: Redirect(to=f"http://127.0.0.1:1/?password={person.password}")),
    "late": meets(CONNECTED, lambda _person: Delay(after=8, times=1)),
    "slow": meets(CONNECTED, lambda _person: Drip(part=Part.BODY, interval=0.2, times=1)),
    "cut off before": stumbles(lambda _person: Drop()),
    "cut off in the headers": stumbles(lambda _person: Drop(at=Part.HEADERS)),
    "cut off in the body": stumbles(lambda _person: Drop(at=Part.BODY)),
    "another account": meets(INVALID, lambda _person: WrongDid()),
    "a document that leads elsewhere": meets(INVALID, lambda _person: DidDocElsewhere(pds="http://127.0.0.1:1")),
}
