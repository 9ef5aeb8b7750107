"""The whole service with a RabbitMQ for its messages."""

from pathlib import Path

import httpx

from sandbox.process import SandboxProcess
from tests.e2e.conftest import new_account
from tests.e2e.stack import body, running_service
from tests.rabbit import Rabbit
from tests.servers import running_valkey, wait_until

CONNECT = "/v1/accounts/connect"


def test_callers_are_connected_and_what_was_accepted_meanwhile_too(
    tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess, rabbit: Rabbit
) -> None:
    before, during, after = (new_account(sandbox) for _ in range(3))
    with (
        running_valkey(tmp_path) as valkey,
        running_service(tmp_path, sqlite_url, valkey, sandbox, broker_url=rabbit.url) as service,
    ):
        caller = service.client(service.tenant())
        assert caller.post(CONNECT, json=body(before.handle, before.app_password)).status_code == 201

        rabbit.stop()
        refused = caller.post(CONNECT, json=body(during.handle, during.app_password))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "QUEUE_UNAVAILABLE")
        wait_until(lambda: queue_is(caller, "unreachable"), what="the probe to tell")
        rabbit.start()

        task = f"/v1/connect/tasks/{refused.json()['error']['details']['task_id']}"
        wait_until(lambda: caller.get(task).json()["data"]["status"] == "succeeded", what="the sweep")
        assert caller.post(CONNECT, json=body(after.handle, after.app_password)).status_code == 201
        assert caller.get("/readyz").status_code == 200


def test_without_redis_callers_are_connected_all_the_same(
    tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess, rabbit: Rabbit
) -> None:
    account = new_account(sandbox)
    with (
        running_valkey(tmp_path) as valkey,
        running_service(tmp_path, sqlite_url, valkey, sandbox, broker_url=rabbit.url) as service,
    ):
        caller = service.client(service.tenant())
        valkey.stop()
        assert caller.post(CONNECT, json=body(account.handle, account.app_password)).status_code == 201
        assert caller.get("/readyz").status_code == 503


def queue_is(caller: httpx.Client, word: str) -> bool:
    answer = caller.get("/readyz").json()
    return bool(answer.get("error", {}).get("details", {}).get("queue") == word)
