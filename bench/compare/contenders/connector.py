"""Ourselves: callers who wait for each account."""

import os
from typing import Any

from bench.compare.contenders.http import HttpCaller
from bench.compare.job import Login


class ConnectorCaller(HttpCaller):
    path = "/v1/accounts/connect"

    def headers(self) -> str:
        return f"Authorization: Bearer {os.environ['BENCH_KEY']}\r\n"

    def body(self, login: Login) -> dict[str, Any]:
        credentials = {"handle": login.identifier, "app_password": login.password}
        return {"platform": "bluesky", "credentials": credentials}


open_caller = ConnectorCaller
