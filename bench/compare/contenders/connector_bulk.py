"""Ourselves: all accounts in one batch."""

import json
import os
import time
from collections.abc import Sequence

import httpx

from bench.compare.caller import Caller
from bench.compare.job import Login

LOOK_SECONDS = 0.1


class BatchCaller(Caller):
    def __init__(self) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{os.environ['BENCH_PORT']}",
            headers={"Authorization": f"Bearer {os.environ['BENCH_KEY']}"},
            timeout=60,
            trust_env=False,
        )

    def in_turns(self, logins: Sequence[Login], callers: int) -> list[float]:
        raise NotImplementedError("nobody waits for a single row")

    def at_once(self, logins: Sequence[Login]) -> None:
        """Raises `RuntimeError` unless every row becomes a new account."""
        rows = (json.dumps({"handle": login.identifier, "app_password": login.password}) for login in logins)
        answer = self._client.post(
            "/v1/connect/batches", content="\n".join(rows), headers={"Content-Type": "application/x-ndjson"}
        )
        path = f"/v1/connect/batches/{answer.raise_for_status().json()['data']['id']}"
        connected = 0
        while connected < len(logins):
            time.sleep(LOOK_SECONDS)
            batch = self._client.get(path).raise_for_status().json()["data"]
            connected = batch["counts"]["connected"]
            if connected < len(logins) and batch["status"] == "finished":
                raise RuntimeError(f"not all were connected: {batch}")


open_caller = BatchCaller
