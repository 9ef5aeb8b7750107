"""A person's password in a file of rows, and all that can be asked of the batch it becomes."""

import json

import httpx

from tests.canary.person import Person
from tests.servers import wait_until

BATCHES = "/v1/connect/batches"

CSV = "text/csv"
NDJSON = "application/x-ndjson"
JSON = "application/json"

_UNFINISHED = {"running", "canceling"}


def sent(person: Person, body: str | bytes, media_type: str = CSV) -> httpx.Response:
    """What the service answers; a batch that it takes is followed to its end, and read in every form."""
    content = body if isinstance(body, bytes) else body.encode()
    answer = person.client.post(BATCHES, content=content, headers={"Content-Type": media_type})
    if answer.status_code == 202:
        _follow(person, answer.headers["Location"])
    return answer


def _follow(person: Person, batch: str) -> None:
    def has_ended() -> bool:
        return person.client.get(batch).json()["data"]["status"] not in _UNFINISHED

    wait_until(has_ended, what="a batch to end")
    for form in (JSON, NDJSON, CSV):
        person.client.get(f"{batch}/results", headers={"Accept": form})
    person.client.get(f"{batch}/events")
    person.client.post(f"{batch}/cancel")


def table(person: Person, password: str | None = None, *, header: str = "handle,app_password,external_ref") -> str:
    return f"{header}\n{person.handle},{password or person.password},first\n"


def in_every_column(person: Person) -> str:
    """The first row has it where it belongs, the others everywhere else."""
    password = person.password
    return f"{table(person)}{password},{password},x\nnobody.test,,{'x' * 300}{password}\n{password}\n,,,{password}\n"


def in_objects(person: Person) -> str:
    row = {"handle": person.handle, "app_password": person.password}
    odd = {"handle": [person.password], "app_password": {"is": person.password}, "profile_id": person.password}
    return "\n".join([json.dumps(row), json.dumps(odd), f'"{person.password}"', f"{{{person.password}", ""])


def in_one_object(person: Person) -> str:
    row = {"identifier": person.handle, "password": person.password}
    return json.dumps({"items": [row, person.password, {"handle": person.password}], "platform": "bluesky"})


def cut_short(person: Person) -> str:
    return in_one_object(person)[: -len('"platform": "bluesky"}')] + person.password
