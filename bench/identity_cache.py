"""What sharing the caches of identities through Redis would bring: `python -m bench.identity_cache`.

Accounts are connected once each, and some attempts are made again, at whichever worker takes them. Every worker with a
cache of its own is compared with one cache for all, which is what Redis could be at best. The network is the sandbox
on loopback, so a look-up costs its work and no way.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table

from connections.bluesky.identifier import Handle
from connections.settings import Settings
from sandbox.process import SandboxProcess
from tests.servers import running_valkey
from worker.circuit import Circuits
from worker.egress import Egress
from worker.platforms.bluesky.documents import Documents
from worker.platforms.bluesky.handles import Handles
from worker.platforms.bluesky.identity import Identities

DEADLINE_SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--repeated", type=float, default=0.05, help="share of the attempts that are made again")
    options = parser.parse_args()
    random.seed(1)

    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxProcess())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = redis.Redis.from_url(stack.enter_context(running_valkey(folder)).url)
        handles = [f"user{number}.test" for number in range(options.accounts)]
        sandbox.control.create_accounts(handles)
        settings = Settings(
            var_dir=folder, plc_url=sandbox.plc_url, dev_pds_url=sandbox.pds_url, dns_servers=(sandbox.dns_address,)
        )
        egress = Egress(settings)
        stack.callback(egress.close)
        executor = stack.enter_context(ThreadPoolExecutor())

        def worker() -> Identities:
            circuits = Circuits()
            return Identities(Handles(egress, settings, executor, circuits), Documents(egress, settings, circuits))

        attempts = with_repetitions(handles, options.repeated)
        caches = {
            f"one for each of {options.workers} workers": [worker() for _ in range(options.workers)],
            "one for all, as in Redis": [worker()],
        }
        table = Table("cache", "attempts", "look-ups", "hit rate")
        for name, workers in caches.items():
            before = sandbox.control.count(host="plc")
            look_up = median_ms(attempts, partial(resolve_at_any, workers))
            look_ups = sandbox.control.count(host="plc") - before
            table.add_row(name, str(len(attempts)), str(look_ups), f"{1 - look_ups / len(attempts):.1%}")
        round_trip = median_ms(attempts, client.get)
    console = Console()
    console.print(table)
    console.print(f"a look-up of handle and document: {look_up:.2f} ms; a round trip to Redis: {round_trip:.2f} ms")


def with_repetitions(handles: Sequence[str], share: float) -> list[str]:
    """Each handle, and after some of them, within the next twenty attempts, the same once more."""
    attempts = {float(number): handle for number, handle in enumerate(handles)}
    for number, handle in enumerate(handles):
        if random.random() < share:
            attempts[number + random.uniform(1, 20)] = handle
    return [attempts[moment] for moment in sorted(attempts)]


def resolve_at_any(workers: Sequence[Identities], handle: str) -> None:
    random.choice(workers).resolve(Handle(handle), deadline=time.monotonic() + DEADLINE_SECONDS)


def median_ms(handles: Iterable[str], call: Callable[[str], object]) -> float:
    def milliseconds(handle: str) -> float:
        started = time.perf_counter()
        call(handle)
        return (time.perf_counter() - started) * 1000

    return statistics.median(map(milliseconds, handles))


if __name__ == "__main__":
    main()
