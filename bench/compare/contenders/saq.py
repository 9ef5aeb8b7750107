"""saq: one event loop, Redis, results announced and kept for ten minutes.

Retries are asked for: without them a job fails whose worker was killed, or that a worker finds half taken as it starts.
"""

import os
from typing import Any

from saq import Job as SaqJob
from saq import Queue

from bench.compare.caller import WAIT_SECONDS, AsyncCaller
from bench.compare.job import SLOTS, AsyncBluesky, Job, Kept, Login

RETRIES = 3

queue = Queue.from_url(os.environ["BENCH_REDIS"])


async def startup(context: dict[str, Any]) -> None:
    context["bluesky"] = AsyncBluesky(Job.from_environment())


async def connect(context: dict[str, Any], *, identifier: str, password: str) -> Kept:
    bluesky: AsyncBluesky = context["bluesky"]
    return await bluesky.connect(identifier, password)


settings = {"queue": queue, "functions": [connect], "concurrency": SLOTS, "startup": startup}


class SaqCaller(AsyncCaller[SaqJob]):
    async def open(self) -> None:
        await queue.connect()

    async def send(self, login: Login) -> SaqJob:
        return await queue.enqueue("connect", retries=RETRIES, identifier=login.identifier, password=login.password)

    async def wait(self, ticket: SaqJob) -> None:
        await ticket.refresh(WAIT_SECONDS)
        if ticket.error or not ticket.result:
            raise RuntimeError(ticket.error or "no result")


open_caller = SaqCaller
