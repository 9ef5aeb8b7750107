"""A FastAPI handler that logs in itself and answers with the result. Nothing is kept when it is not heard.

With one client it is a coroutine, as the documentation of httpx has it. With one for each request in flight it is a
function in Starlette's threads, which costs less than the same on the event loop.
"""

import os
from typing import Any

import anyio.to_thread
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bench.compare.contenders.http import HttpCaller
from bench.compare.job import SLOTS, AsyncBluesky, Bluesky, Clients, Job, Kept, Login


class Request(BaseModel):
    identifier: str
    password: str


class InlineCaller(HttpCaller):
    path = "/connect"

    def body(self, login: Login) -> dict[str, Any]:
        return {"identifier": login.identifier, "password": login.password}


open_caller = InlineCaller


def build_app() -> FastAPI:
    app, job = FastAPI(), Job.from_environment()
    if job.clients is Clients.SHARED:
        shared = AsyncBluesky(job)

        @app.post("/connect")
        async def connect(request: Request) -> Kept:
            return await shared.connect(request.identifier, request.password)
    else:
        pooled = Bluesky(job)

        @app.post("/connect")
        def connect_in_thread(request: Request) -> Kept:
            return pooled.connect(request.identifier, request.password)

    return app


def serve(app: FastAPI) -> None:
    """Until SIGTERM, with as many threads as there may be jobs in flight."""
    app.router.on_startup.append(allow_threads)
    uvicorn.run(
        app, port=int(os.environ["BENCH_PORT"]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


async def allow_threads() -> None:
    anyio.to_thread.current_default_thread_limiter().total_tokens = SLOTS


if __name__ == "__main__":
    serve(build_app())
