"""What one API process can hold and take: `python -m bench.waiting`, about three minutes.

No worker runs: the benchmark ends the tasks itself. Writes docs/bench/waiting.json and .png.
"""

import argparse

from bench.waiting.accepting import Accepted, accept
from bench.waiting.crowd import Waited, gather_and_release
from bench.waiting.report import report
from bench.waiting.servers import running_api


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=5000, help="who wait")
    parser.add_argument("--released", type=int, default=1000, help="of them who are answered in the same moment")
    parser.add_argument(
        "--requests", type=int, default=4000, help="that nobody waits for, at each number of connections"
    )
    parser.add_argument("--connections", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"])
    options = parser.parse_args()
    waited: list[Waited] = []
    accepted: list[Accepted] = []
    for name in options.databases:
        with running_api(name) as api:
            waited.append(gather_and_release(name, api, options.callers, options.released))
        with running_api(name) as api:
            accepted += [accept(name, api, connections, options.requests) for connections in options.connections]
    report(waited, accepted)


if __name__ == "__main__":
    main()
