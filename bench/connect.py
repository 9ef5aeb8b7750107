"""What a synchronous connect costs on top of its upstream: `python -m bench.connect`.

The upstream is the sandbox with a login of 50 ms. "Upstream alone" is what no connector could avoid: the same three
requests (handle, document, login) by one httpx client. Both are measured in turns in one run.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import psutil
from rich.console import Console
from rich.table import Table

from connections.migrate import upgrade
from sandbox.client import SandboxAccount
from sandbox.process import SandboxProcess
from tests.e2e.stack import Service, body, running_service
from tests.servers import running_postgres, running_valkey

LOGIN_SECONDS = 0.05
CALLERS = 64
RESULTS = Path(__file__).parent.parent / "docs" / "bench"
PACKAGES = ("celery", "fastapi", "httpx", "psycopg", "redis", "sqlalchemy", "uvicorn")

_numbers = count()


@dataclass(frozen=True, slots=True)
class Result:
    """Times in milliseconds; CPU is user and system time of the API's and the worker's process, by connect."""

    database: str
    upstream_p50: float
    connect_p50: float
    connect_p99: float
    added_p50: float
    added_p99: float
    connects_per_second: float
    cpu_api: float
    cpu_worker: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-by-one", type=int, default=150, help="connects at one caller")
    parser.add_argument("--at-once", type=int, default=1500, help=f"connects at {CALLERS} callers")
    options = parser.parse_args()
    results = [measure(name, options.one_by_one, options.at_once) for name in ("sqlite", "postgres")]
    show(results)
    RESULTS.mkdir(parents=True, exist_ok=True)
    packages = {name: version(name) for name in PACKAGES}
    kept = {"packages": packages, "results": [rounded(result) for result in results]}
    (RESULTS / "connect.json").write_text(json.dumps(kept, indent=2) + "\n")
    draw(results, RESULTS / "connect.png")


def measure(database: str, one_by_one: int, at_once: int) -> Result:
    with running_stack(database) as (service, sandbox):
        client = service.client(service.tenant())
        warm_up(client, sandbox)
        alone, connects = in_turns(client, sandbox, one_by_one)
        added = [connect - upstream for connect, upstream in zip(connects, alone, strict=True)]
        accounts = [new_account(sandbox) for _ in range(at_once)]
        before, started = cpu_seconds(service), time.perf_counter()
        with ThreadPoolExecutor(CALLERS) as callers:
            for status in callers.map(lambda account: connect(client, account), accounts):
                assert status == 201, status
        elapsed = time.perf_counter() - started
        api, worker = (after - earlier for after, earlier in zip(cpu_seconds(service), before, strict=True))
    return Result(
        database=database,
        upstream_p50=1000 * statistics.median(alone),
        connect_p50=1000 * statistics.median(connects),
        connect_p99=1000 * percentile(connects, 99),
        added_p50=1000 * statistics.median(added),
        added_p99=1000 * percentile(added, 99),
        connects_per_second=at_once / elapsed,
        cpu_api=1000 * api / at_once,
        cpu_worker=1000 * worker / at_once,
    )


@contextmanager
def running_stack(database: str) -> Iterator[tuple[Service, SandboxProcess]]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if database == "postgres":
            url = stack.enter_context(running_postgres()).create("bench")
        else:
            url = f"sqlite:///{directory / 'connector.db'}"
        upgrade(url)
        valkey = stack.enter_context(running_valkey(directory))
        sandbox = stack.enter_context(SandboxProcess("--delay-ms", str(1000 * LOGIN_SECONDS)))
        yield stack.enter_context(running_service(directory, url, valkey, sandbox)), sandbox


def warm_up(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """Every thread of the worker opens its connections before anything is measured."""
    accounts = [new_account(sandbox) for _ in range(4 * CALLERS)]
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(lambda account: connect(client, account), accounts))


def in_turns(client: httpx.Client, sandbox: SandboxProcess, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each round: the upstream alone, then a connect."""
    alone, connects = [], []
    with httpx.Client(trust_env=False) as plain:
        for _ in range(rounds):
            bare, account = new_account(sandbox), new_account(sandbox)
            alone.append(timed(lambda bare=bare: upstream_alone(plain, sandbox, bare)))  # type: ignore[misc]
            connects.append(timed(lambda account=account: connect(client, account)))  # type: ignore[misc]
    return alone, connects


def upstream_alone(client: httpx.Client, sandbox: SandboxProcess, account: SandboxAccount) -> None:
    pds = sandbox.pds_url
    did = client.get(f"{pds}/xrpc/com.atproto.identity.resolveHandle", params={"handle": account.handle}).json()["did"]
    client.get(f"{sandbox.plc_url}/{did}").raise_for_status()
    login = {"identifier": did, "password": account.app_password}
    client.post(f"{pds}/xrpc/com.atproto.server.createSession", json=login).raise_for_status()


def connect(client: httpx.Client, account: SandboxAccount) -> int:
    return client.post("/v1/accounts/connect", json=body(account.handle, account.app_password)).status_code


def new_account(sandbox: SandboxProcess) -> SandboxAccount:
    return sandbox.control.create_account(f"bench{next(_numbers)}.test", app_password="abcd-efgh-2345-wxyz")


def cpu_seconds(service: Service) -> tuple[float, float]:
    """Of the API and of the worker so far."""
    times = [psutil.Process(service.pids[name]).cpu_times() for name in ("api", "worker")]
    api, worker = (spent.user + spent.system for spent in times)
    return api, worker


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def percentile(values: list[float], hundredth: int) -> float:
    return statistics.quantiles(values, n=100)[hundredth - 1]


def rounded(result: Result) -> dict[str, Any]:
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(result).items()}


def show(results: list[Result]) -> None:
    table = Table(title=f"Synchronous connect, login of {1000 * LOGIN_SECONDS:.0f} ms; times in ms")
    rows: list[tuple[str, Callable[[Result], str]]] = [
        ("upstream alone p50", lambda result: f"{result.upstream_p50:.1f}"),
        ("connect p50 · p99", lambda result: f"{result.connect_p50:.1f} · {result.connect_p99:.1f}"),
        ("added p50 · p99", lambda result: f"{result.added_p50:.1f} · {result.added_p99:.1f}"),
        (f"connects/s at {CALLERS} callers", lambda result: f"{result.connects_per_second:.0f}"),
        ("CPU a connect, API", lambda result: f"{result.cpu_api:.2f}"),
        ("CPU a connect, worker", lambda result: f"{result.cpu_worker:.2f}"),
    ]
    table.add_column("")
    for result in results:
        table.add_column(result.database, justify="right")
    for title, render in rows:
        table.add_row(title, *map(render, results))
    Console().print(table)


def draw(results: list[Result], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  only after the backend is chosen

    names = [result.database for result in results]
    figure, (latency, cpu) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    latency.barh(
        names, [result.upstream_p50 for result in results], label="upstream alone", height=0.5, color="#b8c4d6"
    )
    latency.barh(
        names,
        [result.added_p50 for result in results],
        left=[result.upstream_p50 for result in results],
        label="added",
        height=0.5,
        color="#1f6feb",
    )
    latency.set(title="One caller: p50 of a connect", xlabel="ms")
    cpu.barh(names, [result.cpu_api for result in results], label="API", height=0.5, color="#1f6feb")
    cpu.barh(
        names,
        [result.cpu_worker for result in results],
        left=[result.cpu_api for result in results],
        label="worker",
        height=0.5,
        color="#f0883e",
    )
    cpu.set(title=f"{CALLERS} callers: CPU of a connect", xlabel="ms")
    for axes in (latency, cpu):
        axes.legend(frameon=False, fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.22))
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
