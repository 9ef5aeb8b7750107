"""What happens when many sessions are due at once: `python -m bench.refreshing`.

Accounts of one host whose limit is the documented one in shorter windows are connected by a batch, and then all made
due. The ideal time is what the host allows: sessions ÷ (3,000 a window). Meanwhile somebody connects every second.
"""

import argparse
import statistics
import threading
import time
from collections import Counter
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select, update

from bench.bulk import LIMIT, WINDOW_SECONDS, Rig, Row, running_rig
from bench.kept import draw, keep, new_figure
from connections.models import accounts
from connections.sqltime import from_now
from sandbox.methods import REFRESH_SESSION
from tests.e2e.stack import body
from tests.windows import most_in_a_window

CALLS = 10
CURVE_POINTS = 101

Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--scale", type=float, default=0.1, help="of the windows of the limit")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    window = WINDOW_SECONDS * options.scale
    with running_rig(workers=options.workers, scale=options.scale) as rig:
        result = measure(rig, options.sessions, window)
    keep("refreshing", result)
    show(result)
    plot(result)


def measure(rig: Rig, sessions: int, window: float) -> Result:
    tenant = rig.tenant()
    batch = rig.post(tenant, rig.rows(sessions))
    assert rig.follow(tenant, batch, seconds=300 + sessions / 20), "the accounts were not connected"
    others = rig.rows(2 * CALLS + int(sessions / LIMIT * window) * 3)
    with rig.client(tenant) as client:
        before = [connect(client, others.pop()) for _ in range(CALLS)]
        cpu, begun = rig.cpu_seconds(), time.time()
        with rig.database.write() as connection:
            connection.execute(update(accounts).values(refresh_at=from_now(-1.0)))
            number = connection.execute(select(func.count()).select_from(accounts)).scalar_one()
        meanwhile: list[float] = []
        has_ended = threading.Event()
        calling = threading.Thread(target=call, args=(client, others, meanwhile, has_ended))
        calling.start()
        while left(rig):
            time.sleep(0.5)
        has_ended.set()
        calling.join()
    spent = {name: seconds - cpu[name] for name, seconds in rig.cpu_seconds().items()}
    answered = [one for one in rig.sandbox.control.requests(REFRESH_SESSION) if one["at"] >= begun]
    times = sorted(one["at"] - begun for one in answered)
    with rig.database.read() as connection:
        failures = connection.execute(select(func.sum(accounts.c.refresh_failures))).scalar_one()
    return {
        "sessions": number,
        "seconds": times[-1],
        "ideal_seconds": number / LIMIT * window,
        "statuses": dict(Counter(str(one["status"]) for one in answered)),
        "failures": int(failures),
        "limit": LIMIT,
        "window_seconds": window,
        "most_in_a_window": most_in_a_window(times, window),
        "worker_ms": 1000 * spent["workers"] / number,
        "postgres_ms": 1000 * spent["postgres"] / number,
        "connect_ms_before": 1000 * statistics.median(before),
        "connect_ms_meanwhile": 1000 * statistics.median(meanwhile),
        "connect_ms_meanwhile_longest": 1000 * max(meanwhile),
        "curve": [
            times[min(len(times) - 1, point * len(times) // (CURVE_POINTS - 1))] for point in range(CURVE_POINTS)
        ],
    }


def left(rig: Rig) -> int:
    with rig.database.read() as connection:
        return int(
            connection.execute(
                select(func.count()).select_from(accounts).where(accounts.c.refresh_at < from_now(3600.0))
            ).scalar_one()
        )


def connect(client: httpx.Client, row: Row) -> float:
    begun = time.monotonic()
    answer = client.post("/v1/accounts/connect", json=body(row.identifier, row.account.app_password))
    assert answer.status_code == 201, answer.text
    return time.monotonic() - begun


def call(client: httpx.Client, rows: list[Row], seconds: list[float], has_ended: threading.Event) -> None:
    while not has_ended.wait(1.0) and rows:
        seconds.append(connect(client, rows.pop()))


def show(result: Result) -> None:
    table = Table(
        "", "", title=f"{result['sessions']:,} sessions due at once, windows of {result['window_seconds']:g} s"
    )
    for name, value in result.items():
        if name != "curve":
            table.add_row(name.replace("_", " "), f"{value:,.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


def plot(result: Result) -> None:
    figure, [axes] = new_figure(1, width=6.0)
    done = [result["sessions"] * point / (CURVE_POINTS - 1) for point in range(CURVE_POINTS)]
    axes.plot(result["curve"], done, label="refreshed")
    axes.plot([0, result["ideal_seconds"]], [0, result["sessions"]], linestyle=":", label="what the host allows")
    axes.set(xlabel="seconds", ylabel="sessions")
    axes.legend(frameon=False)
    draw("refreshing", figure)


if __name__ == "__main__":
    main()
