"""What the hosts were asked: exact counts for ever, and the latest requests with their times."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

# Enough for any test; a benchmark only needs the counts.
_JOURNAL_LENGTH = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: `at` is seconds since the epoch, `identifier` is as sent; never a secret."""

    at: float
    host: str
    method: str
    identifier: str | None
    status: int
    address: str


class Ledger:
    """Counts requests and remembers the latest."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str | None]] = Counter()
        self._tally: Counter[tuple[str, str, int]] = Counter()
        self._journal: deque[Entry] = deque(maxlen=_JOURNAL_LENGTH)

    def record(self, entry: Entry) -> None:
        """Add one request."""
        self._counts[(entry.host, entry.method, entry.identifier)] += 1
        self._tally[(entry.host, entry.method, entry.status)] += 1
        self._journal.append(entry)

    def clear(self) -> None:
        """Start again from nothing."""
        self._counts.clear()
        self._tally.clear()
        self._journal.clear()

    def count(self, **wanted: str) -> int:
        """How many requests match `host`, `method` and `identifier`, each optional."""
        keys = ("host", "method", "identifier")
        return sum(
            number
            for names, number in self._counts.items()
            if all(wanted.get(key, name) == name for key, name in zip(keys, names, strict=True))
        )

    def tally(self) -> list[dict[str, Any]]:
        """How many requests each `host` answered to each `method` with each `status`, as JSON objects.

        Short however many there were, so that a benchmark can follow them without being in their way.
        """
        return [
            {"host": host, "method": method, "status": status, "count": count}
            for (host, method, status), count in self._tally.items()
        ]

    def entries(self, **wanted: str) -> list[dict[str, Any]]:
        """The latest matching requests, oldest first, as JSON objects."""
        found = (asdict(entry) for entry in self._journal)
        return [entry for entry in found if all(entry[key] == value for key, value in wanted.items())]
