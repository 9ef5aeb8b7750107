"""Callers who are gone before their answer comes."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import Message

from tests.doubles import until
from tests.unit.api_shim.conftest import BODY, Api


class Caller:
    """Sends a request, and can hang up."""

    def __init__(
        self,
        api: Api,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._api = api
        self._body: bytes | None = body
        self._is_gone = asyncio.Event()
        self.answered: list[Message] = []
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or api.key).items()],
            "client": None,
            "server": ("api.test", 80),
        }

    async def ask(self) -> None:
        await self._api.app(self._scope, self._receive, self._send)

    def hang_up(self) -> None:
        self._is_gone.set()

    async def _receive(self) -> Message:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.answered.append(message)


async def test_a_caller_who_hangs_up_gives_its_place_free_and_its_task_goes_on(api: Api) -> None:
    caller = Caller(api, "POST", "/v1/accounts/connect", body=json.dumps(BODY).encode())
    asking = asyncio.create_task(caller.ask())
    await until(lambda: len(api.queue.sent) == 1)
    caller.hang_up()
    await asking

    assert len(api.shim.waiting) == 0
    assert caller.answered[0]["status"] == 499
    api.worker.succeed(api.queue.sent[0])
    task = await api.get(f"/v1/connect/tasks/{api.queue.sent[0]}")
    assert task.json()["data"]["status"] == "succeeded"


async def test_who_hangs_up_and_sends_again_waits_for_the_same_task(api: Api) -> None:
    caller = Caller(api, "POST", "/v1/accounts/connect", body=json.dumps(BODY).encode())
    asking = asyncio.create_task(caller.ask())
    await until(lambda: len(api.queue.sent) == 1)
    caller.hang_up()
    await asking
    again = asyncio.create_task(api.connect())
    await until(lambda: api.waiting_for(api.queue.sent[0]) == 1)
    api.worker.succeed(api.queue.sent[0])

    assert (await again).status_code == 201
    assert len(api.queue.sent) == 1


async def test_a_poller_who_hangs_up_gives_its_place_free(api: Api) -> None:
    await api.connect(prefer="respond-async")
    caller = Caller(api, "GET", f"/v1/connect/tasks/{api.queue.sent[0]}", query="wait=60")
    asking = asyncio.create_task(caller.ask())
    await until(lambda: len(api.shim.waiting) == 1)
    caller.hang_up()
    await asking

    assert len(api.shim.waiting) == 0
