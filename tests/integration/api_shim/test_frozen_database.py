"""A Postgres that is frozen: callers are told within the limit, and the event loop goes on."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import httpx
from sqlalchemy import func, select

from api_shim.app import create_app
from connections.db import TRANSACTION_SECONDS
from connections.models import connect_tasks
from connections.settings import Settings
from tests.integration.api_shim.conftest import Api
from tests.outages import Outage, outage
from tests.servers import Valkey

# What two slow processors and forty callers may add to the limit.
SLACK_SECONDS = 3.0
CALLERS = 40


async def test_forty_callers_are_told_within_the_limit_while_the_loop_answers(
    own_valkey: Valkey, tmp_path: Path, postgres_url: str
) -> None:
    settings = Settings(var_dir=tmp_path / "var", database_url=postgres_url, redis_url=own_valkey.url)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", timeout=60) as client,
    ):
        api = Api(app.state.shim, client, own_valkey)
        with outage("frozen", postgres_url) as frozen:
            assert (await api.connect("first.test", Prefer="respond-async")).status_code == 202
            unconfirmed = await _while_it_is_away(api, frozen)

        assert await _is_back(api)
        with api.shim.database.read() as connection:
            stored = connection.execute(select(func.count()).select_from(connect_tasks)).scalar_one()
        # The first and the last. Of those who were refused nothing is left, unless they were told that it may be.
        assert 2 <= stored <= 2 + unconfirmed
        assert unconfirmed <= 1  # the statement that was on its way when the database froze


async def _while_it_is_away(api: Api, frozen: Outage) -> int:
    """How many were told that their request may have been stored."""
    frozen.begin()
    started = time.monotonic()
    calls = [asyncio.create_task(api.connect(f"h{n}.test", Prefer="respond-async")) for n in range(CALLERS)]
    signs_of_life = [started]
    while not all(call.done() for call in calls):
        assert (await api.client.get("/healthz")).status_code == 200
        await asyncio.sleep(0.05)
        signs_of_life.append(time.monotonic())  # now, because what is asked in this process may not turn the loop
    assert time.monotonic() - started < TRANSACTION_SECONDS + SLACK_SECONDS
    # A blocked loop gives none while the database is asked; a slow machine is not that slow.
    assert max(later - earlier for earlier, later in pairwise(signs_of_life)) < TRANSACTION_SECONDS / 2
    answers = [call.result() for call in calls]
    assert {answer.status_code for answer in answers} == {503}
    errors = [answer.json()["error"] for answer in answers]
    assert {error["code"] for error in errors} == {"SERVICE_UNAVAILABLE"}
    return sum("may have been" in error["message"] for error in errors)


async def _is_back(api: Api) -> bool:
    """Within seconds and without a restart."""
    deadline = time.monotonic() + 5
    while (await api.connect("last.test", Prefer="respond-async")).status_code != 202:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True
