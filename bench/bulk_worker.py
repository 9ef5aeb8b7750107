"""`connector worker`, except that every port of loopback may be called: `python -m bench.bulk_worker worker`.

The product exempts single origins of its settings only, and two hundred hosts of a sandbox are two hundred ports.
"""

import httpx

from worker.egress.policy import Destinations, Policy, origin_of
from worker.egress.resolver import LOOPBACK_NAME


def main() -> None:
    real = Destinations.is_exempt

    def is_exempt(self: Destinations, url: httpx.URL, policy: Policy) -> bool:
        return origin_of(url).host == LOOPBACK_NAME or real(self, url, policy)

    Destinations.is_exempt = is_exempt  # type: ignore[method-assign]

    from cli.main import app  # noqa: PLC0415  after the change, as tests/faults/entry.py does

    app(prog_name="connector")


if __name__ == "__main__":
    main()
