"""What becomes of callers when more come than can be served: `python -m bench.overload`, about six minutes.

Few threads in front of a slow server, so that the service can do little while the machine is idle, and callers that
come at up to three times that rate, whatever happens to those before them. Once as it is, and once with nobody turned
away. Writes docs/bench/overload.json and .png.
"""

import argparse
from multiprocessing.pool import Pool

from bench.overload.report import report
from bench.overload.summary import Load, summarize
from bench.waiting.callers import keep_coming, posting
from bench.workers.stack import Stack, running_stack

LOGIN_SECONDS = 0.5
THREADS = 16
CAPACITY = THREADS / LOGIN_SECONDS
WAIT_SECONDS = 10.0

TURNED_AWAY_AFTER = {"as it is": 2.0, "nobody turned away": 60.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 1.0, 2.0, 3.0], help="times the capacity")
    parser.add_argument("--seconds", type=float, default=30.0, help="of callers at each load; the second half counts")
    parser.add_argument("--database", default="postgres")
    options = parser.parse_args()
    loads = []
    with posting() as callers:
        for name, seconds in TURNED_AWAY_AFTER.items():
            for load in options.loads:
                with running_stack(
                    options.database,
                    threads=THREADS,
                    login_seconds=LOGIN_SECONDS,
                    sync_wait_seconds=str(WAIT_SECONDS),
                    queue_age_seconds=str(seconds),
                ) as stack:
                    loads.append(_measure(stack, callers, name, load, options.seconds))
    report(loads, CAPACITY)


def _measure(stack: Stack, callers: Pool, name: str, load: float, seconds: float) -> Load:
    stack.start_worker("worker")
    stack.start_api()
    requests = stack.requests(round(load * CAPACITY * seconds))
    came = callers.apply(keep_coming, (stack.port, requests, load * CAPACITY))
    return summarize(name, load, came, after=seconds / 2)


if __name__ == "__main__":
    main()
