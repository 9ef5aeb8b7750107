"""One case, carried out: the internet it describes, the real adapter and guard on it, and what was seen."""

import ssl
import time
import tracemalloc

import httpx

from connections.settings import Settings
from tests.hostile.case import Case, Expected
from tests.hostile.honest import NAMES, PASSWORD, REPLIES, TEXTS
from tests.hostile.internet import Internet
from tests.hostile.stack import Stack
from tests.hostile.zone import Zone, ZoneResolver
from worker.egress import Egress
from worker.pace import Unpaced
from worker.platforms.bluesky.adapter import Bluesky

TLS = ssl.create_default_context()


class Run:
    """Carries out one case; `seconds` and `peak`, in bytes, are what the last request took."""

    def __init__(self, case: Case, settings: Settings) -> None:
        self.case = case
        self.internet = Internet({**REPLIES, **case.replies})
        resolver = ZoneResolver(Zone({**NAMES, **case.names}, {**TEXTS, **case.texts}))
        self._egress = Egress(settings, resolver=resolver, connector=self.internet, ssl_context=TLS)
        self.platform = Bluesky(settings, Unpaced(), self._egress)
        self.seconds = 0.0
        self.peak = 0

    async def connect(self, stack: Stack) -> httpx.Response:
        started = time.monotonic()
        tracemalloc.start()
        answer = await stack.connect(self.case.handle, PASSWORD)
        self.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.seconds = time.monotonic() - started
        return answer

    def close(self) -> None:
        self.platform.close()
        self.internet.close()

    def asked(self, method: str) -> list[str]:
        """The bearer tokens, or nothing in their place, of the calls that a host has read."""
        return [asked.headers.get("authorization", "") for asked in self.internet.asked if asked.what.endswith(method)]


def outcome(answer: httpx.Response) -> Expected:
    """What an answer says. Asserts that it has the shape of the contract."""
    body = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"]
    if answer.status_code == 201:
        return Expected(201)
    error = body["error"]
    issues = error.get("issues") or [{"code": None}]
    return Expected(answer.status_code, error["code"], issues[0]["code"])
