"""Plain Celery with its Redis result backend, JSON, and no setting that its tutorial does not have."""

import os
from typing import Any

from celery import Celery

from bench.compare.caller import WAIT_SECONDS, ThreadCaller
from bench.compare.job import Bluesky, Job, Kept, Login

app = Celery("bench", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
bluesky = Bluesky(Job.from_environment())


@app.task
def connect(identifier: str, password: str) -> Kept:
    return bluesky.connect(identifier, password)


class CeleryCaller(ThreadCaller[Any]):
    def send(self, login: Login) -> Any:
        return connect.delay(login.identifier, login.password)

    def wait(self, ticket: Any) -> None:
        ticket.get(timeout=WAIT_SECONDS)


open_caller = CeleryCaller
