"""procrastinate: one event loop, Postgres. It keeps no results, so the task leaves them in a list of Redis."""

import json
import os
from uuid import uuid4

import redis.asyncio
from procrastinate import App, PsycopgConnector

from bench.compare.caller import WAIT_SECONDS, AsyncCaller
from bench.compare.job import AsyncBluesky, Job, Login

KEPT_SECONDS = 600

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_LIBPQ"], max_size=16))
results = redis.asyncio.Redis.from_url(os.environ["BENCH_REDIS"])
bluesky = AsyncBluesky(Job.from_environment())


@app.task(name="connect")
async def connect(identifier: str, password: str, result: str) -> None:
    kept = await bluesky.connect(identifier, password)
    async with results.pipeline() as pipe:
        pipe.rpush(result, json.dumps(kept))
        pipe.expire(result, KEPT_SECONDS)
        await pipe.execute()


class ProcrastinateCaller(AsyncCaller[str]):
    async def open(self) -> None:
        await app.open_async()

    async def send(self, login: Login) -> str:
        result = f"result:{uuid4()}"
        await connect.defer_async(identifier=login.identifier, password=login.password, result=result)
        return result

    async def wait(self, ticket: str) -> None:
        if await results.blpop([ticket], timeout=WAIT_SECONDS) is None:
            raise TimeoutError("no result")


open_caller = ProcrastinateCaller
