"""dramatiq: threads, Redis, its results backend, which hands a result to whoever waits and keeps it for ten minutes."""

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.compare.caller import WAIT_SECONDS, ThreadCaller
from bench.compare.job import Bluesky, Job, Kept, Login

broker = RedisBroker(url=os.environ["BENCH_REDIS"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_REDIS"])))
dramatiq.set_broker(broker)
bluesky = Bluesky(Job.from_environment())


@dramatiq.actor(store_results=True)
def connect(identifier: str, password: str) -> Kept:
    return bluesky.connect(identifier, password)


class DramatiqCaller(ThreadCaller[Any]):
    def send(self, login: Login) -> Any:
        return connect.send(login.identifier, login.password)

    def wait(self, ticket: Any) -> None:
        ticket.get_result(block=True, timeout=1000 * WAIT_SECONDS)


open_caller = DramatiqCaller
