"""Random faults under a steady load, for as long as wanted: `make soak ARGS="--minutes 10"`.

The product as shipped, its waits not shortened. Each round is a minute of callers with a fault every few seconds, and
ends with the verdict of the fault suite. Processes that die are those with a 2 in their name; the others live through
everything, and their memory and descriptors must not grow.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import psutil
from rich.console import Console
from rich.table import Table

from sandbox.faults import Status
from tests.faults.fleet import THREADS, WORKERS, Fleet, running_fleet
from tests.faults.load import Load
from tests.faults.verdict import prove
from tests.processes import frozen

RESULTS = Path(__file__).parent.parent / "docs" / "bench"
PER_SECOND = 10.0
ROUND_SECONDS = 60.0
PAUSE_SECONDS = (3.0, 9.0)
SAMPLE_SECONDS = 2.0

# A process that leaks a little with each fault has grown by more than this at the end.
RSS_GROWTH = 1.15
DESCRIPTOR_GROWTH = 12

ALL_THREADS = THREADS * len(WORKERS)


class Strike(NamedTuple):
    """A fault, and how many logins it can cut off from their settlement."""

    run: Callable[[Fleet], None]
    repeats: int


def kill(name: str) -> Callable[[Fleet], None]:
    def run(fleet: Fleet) -> None:
        fleet[name].kill()
        fleet[name].start()

    return run


def stop(name: str) -> Callable[[Fleet], None]:
    def run(fleet: Fleet) -> None:
        fleet[name].terminate()
        fleet[name].wait(60)
        fleet[name].start()

    return run


def restart_valkey(fleet: Fleet) -> None:
    fleet.valkey.stop()
    time.sleep(2)
    fleet.valkey.start()


def freeze_valkey(fleet: Fleet) -> None:
    with frozen(fleet.valkey.pid):
        time.sleep(4)


def flush_valkey(fleet: Fleet) -> None:
    with fleet.valkey.client() as client:
        client.flushall()


def kill_connections(fleet: Fleet) -> None:
    with fleet.valkey.client() as client:
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind)


def restart_postgres(fleet: Fleet) -> None:
    assert fleet.postgres
    fleet.postgres.kill()
    time.sleep(1)
    fleet.postgres.start()


def freeze_postgres(fleet: Fleet) -> None:
    assert fleet.postgres
    with frozen(*fleet.postgres.pids):
        time.sleep(3)


def fail_upstream(fleet: Fleet) -> None:
    order = fleet.sandbox.control.order(Status(status=503, host="pds"))
    time.sleep(4)
    fleet.sandbox.control.cancel(order)


STRIKES: Mapping[str, Strike] = {
    "worker killed": Strike(kill("worker-2"), THREADS),
    "worker stopped": Strike(stop("worker-2"), 0),
    "API killed": Strike(kill("shim-2"), 0),
    "API stopped": Strike(stop("shim-2"), 0),
    "Valkey restarted": Strike(restart_valkey, 0),
    "Valkey frozen": Strike(freeze_valkey, 0),
    "Valkey flushed": Strike(flush_valkey, 0),
    "connections killed": Strike(kill_connections, 0),
    "connections silent": Strike(lambda fleet: fleet.proxy.mute(), 0),
    "Postgres restarted": Strike(restart_postgres, ALL_THREADS),
    "Postgres frozen": Strike(freeze_postgres, ALL_THREADS),
    "upstream failing": Strike(fail_upstream, 0),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """At `second` of the run: memory in bytes and open descriptors of one process."""

    second: float
    rss: int
    descriptors: int


class Sampler:
    """Looks at every process of the fleet every two seconds."""

    def __init__(self, fleet: Fleet) -> None:
        self.samples: dict[str, list[Sample]] = defaultdict(list)
        self._fleet = fleet
        self._started = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")

    @property
    def second(self) -> float:
        return time.monotonic() - self._started

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            for name, part in self._fleet.parts.items():
                with suppress(psutil.NoSuchProcess):  # it is being killed
                    process = psutil.Process(part.pid)
                    self.samples[name].append(Sample(self.second, process.memory_info().rss, process.num_fds()))


@dataclass(frozen=True, slots=True)
class Struck:
    second: float
    name: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="soak-")  # kept when something fails: the logs are in it
    with running_fleet(Path(directory), as_shipped=True) as fleet:
        sampler = Sampler(fleet)
        with sampler.running():
            struck, answered = soak(fleet, sampler, random.Random(options.seed), 60 * options.minutes)
    shutil.rmtree(directory)
    growth = {name: grown(samples) for name, samples in sampler.samples.items()}
    show(growth, struck, answered)
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = {"seconds": round(sampler.second), "callers": answered, "faults": len(struck), "processes": growth}
    (RESULTS / "soak.json").write_text(json.dumps(kept, indent=2) + "\n")
    draw(sampler.samples, struck, RESULTS / "soak.png")
    if leaking := [name for name, numbers in growth.items() if not name.endswith("-2") and leaks(numbers)]:
        sys.exit(f"grew: {', '.join(leaking)}")


def soak(fleet: Fleet, sampler: Sampler, chance: random.Random, seconds: float) -> tuple[list[Struck], int]:
    """Every fault and the number of callers. Raises `AssertionError` with what the verdict of a round has found."""
    struck: list[Struck] = []
    answered = 0
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        fleet.heal()
        repeats = 0
        with Load(fleet, fleet.people(int(PER_SECOND * ROUND_SECONDS)), per_second=PER_SECOND) as load:
            while not load.is_sent:
                time.sleep(chance.uniform(*PAUSE_SECONDS))
                name, strike = chance.choice([*STRIKES.items()])
                struck.append(Struck(sampler.second, name))
                Console().print(f"{sampler.second:5.0f} s  {name}")
                strike.run(fleet)
                repeats += strike.repeats
        prove(fleet, load, repeats=repeats)
        answered += len(load.told)
        Console().print(f"{sampler.second:5.0f} s  {answered} callers, each with one outcome")
    return struck, answered


def grown(samples: list[Sample]) -> dict[str, float]:
    """Medians of the second and of the last quarter: the first is for warming up."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    return {
        "rss_mb_early": round(statistics.median(sample.rss for sample in early) / 1e6, 1),
        "rss_mb_late": round(statistics.median(sample.rss for sample in late) / 1e6, 1),
        "descriptors_early": statistics.median(sample.descriptors for sample in early),
        "descriptors_late": statistics.median(sample.descriptors for sample in late),
    }


def leaks(numbers: Mapping[str, float]) -> bool:
    return (
        numbers["rss_mb_late"] > RSS_GROWTH * numbers["rss_mb_early"]
        or numbers["descriptors_late"] > numbers["descriptors_early"] + DESCRIPTOR_GROWTH
    )


def show(growth: Mapping[str, Mapping[str, float]], struck: list[Struck], answered: int) -> None:
    table = Table(title=f"{answered} callers, {len(struck)} faults; medians of the second and of the last quarter")
    for title in ("", "MB", "", "descriptors", ""):
        table.add_column(title, justify="right")
    for name, numbers in sorted(growth.items()):
        table.add_row(name, *(f"{number:g}" for number in numbers.values()))
    Console().print(table)


def draw(samples: Mapping[str, list[Sample]], struck: list[Struck], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  only after the backend is chosen

    figure, panels = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
    readings: list[tuple[str, Callable[[Sample], Any]]] = [
        ("memory, MB", lambda sample: sample.rss / 1e6),
        ("descriptors", lambda sample: sample.descriptors),
    ]
    for axes, (title, read) in zip(panels, readings, strict=True):
        for fault in struck:
            axes.axvline(fault.second, color="#d0d7de", linewidth=0.7)
        for name, series in sorted(samples.items()):
            style = "--" if name.endswith("-2") else "-"
            axes.plot([one.second for one in series], [read(one) for one in series], style, label=name, linewidth=1.2)
        axes.set(ylabel=title, ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].set(xlabel="seconds; grey lines are faults, dashed processes are killed and stopped")
    panels[0].legend(frameon=False, fontsize=8, ncol=5, loc="upper center", bbox_to_anchor=(0.5, 1.18))
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
