"""arq: one event loop, Redis, results kept for an hour. Its worker looks for jobs twice a second."""

import os
from typing import Any

from arq import create_pool, run_worker
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job as ArqJob
from arq.jobs import ResultNotFound

from bench.compare.caller import POLL_SECONDS, WAIT_SECONDS, AsyncCaller
from bench.compare.job import SLOTS, AsyncBluesky, Job, Kept, Login

REDIS = RedisSettings.from_dsn(os.environ["BENCH_REDIS"])


async def startup(context: dict[str, Any]) -> None:
    context["bluesky"] = AsyncBluesky(Job.from_environment())


async def connect(context: dict[str, Any], identifier: str, password: str) -> Kept:
    bluesky: AsyncBluesky = context["bluesky"]
    return await bluesky.connect(identifier, password)


class WorkerSettings:
    functions = (connect,)
    on_startup = startup
    redis_settings = REDIS
    max_jobs = SLOTS


class ArqCaller(AsyncCaller[ArqJob]):
    async def open(self) -> None:
        self._queue: ArqRedis = await create_pool(REDIS)

    async def send(self, login: Login) -> ArqJob:
        return await self._queue.enqueue_job("connect", login.identifier, login.password)

    async def wait(self, ticket: ArqJob) -> None:
        try:
            await ticket.result(WAIT_SECONDS, poll_delay=POLL_SECONDS)
        except ResultNotFound:
            # It looks for the result, then for the job: one that ends in between is taken for lost.
            await ticket.result(WAIT_SECONDS)


open_caller = ArqCaller

if __name__ == "__main__":
    run_worker(WorkerSettings)  # its command would log every credential and every token
