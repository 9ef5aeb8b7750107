"""huey: threads, Redis, results announced through a list and kept until they are read."""

import os
from typing import Any

from huey import RedisHuey

from bench.compare.caller import WAIT_SECONDS, ThreadCaller
from bench.compare.job import Bluesky, Job, Kept, Login

huey = RedisHuey(url=os.environ["BENCH_REDIS"], notify_result=True)
bluesky = Bluesky(Job.from_environment())


@huey.task()
def connect(identifier: str, password: str) -> Kept:
    return bluesky.connect(identifier, password)


class HueyCaller(ThreadCaller[Any]):
    def send(self, login: Login) -> Any:
        return connect(login.identifier, login.password)

    def wait(self, ticket: Any) -> None:
        ticket.get(blocking=True, timeout=WAIT_SECONDS)


open_caller = HueyCaller
