"""`connector worker` that trusts the upstream's CA, and may call every port of loopback.

The product checks certificates against certifi's list, which knows no throwaway CA.
"""

import os

import certifi

from bench import bulk_worker


def main() -> None:
    if ca := os.environ["BENCH_CA"]:
        certifi.where = lambda: ca
    bulk_worker.main()


if __name__ == "__main__":
    main()
