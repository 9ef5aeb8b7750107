"""What a worker process needs, and what more of them bring: `python -m bench.workers`, about ten minutes.

Writes docs/bench/workers.json and .png.
"""

import argparse

from bench.workers.report import report
from bench.workers.scale import Scaled, scale
from bench.workers.starts import Worker, start_and_serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--connects", type=int, default=10_000, help="by one worker, whose memory is looked at")
    parser.add_argument("--threads", type=int, default=8, help="of each worker where their number changes")
    parser.add_argument("--seconds", type=float, default=20.0, help="of connects with each number of workers")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"])
    options = parser.parse_args()
    workers: list[Worker] = []
    scaled: list[Scaled] = []
    for name in options.databases:
        workers.extend(
            start_and_serve(name, is_hosted=is_hosted, starts=options.starts, connects=options.connects)
            for is_hosted in (True, False)
        )
        scaled += scale(name, threads=options.threads, seconds=options.seconds)
    report(workers, scaled)


if __name__ == "__main__":
    main()
