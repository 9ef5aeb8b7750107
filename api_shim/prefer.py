"""How a caller wants to wait: `Prefer: respond-async` and `Prefer: wait=N`, as RFC 7240 has them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_WAIT_SECONDS = 60

# More than anybody prefers, and little enough for patterns that take quadratic time at their worst.
_MAX_LENGTH = 1024

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENT = re.compile(rf'(?:{_QUOTED}|[^",])+')
_PREFERENCE = re.compile(rf"[ \t]*({_WORD})[ \t]*(?:=[ \t]*({_WORD}|{_QUOTED})?[ \t]*)?(?:;.*)?", re.DOTALL)
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was asked for and will be honoured. `wait` is in seconds, 0 to 60."""

    respond_async: bool = False
    wait: int | None = None

    def wait_seconds(self, default: float) -> float:
        """How long to wait for the outcome; `default` when the caller has no preference.

        RFC 7240, 4.3: `respond-async` with `wait` means to answer asynchronously only after that many seconds.
        """
        if self.wait is not None:
            return self.wait
        return 0 if self.respond_async else default

    @property
    def accept_pending(self) -> bool:
        """Whether an answer that tells of an unfinished task is what the caller asked for."""
        return self.respond_async or self.wait is not None

    @property
    def at_once(self) -> bool:
        """Whether to answer with the task even if it has ended by then: `respond-async` and no wait."""
        return self.respond_async and not self.wait

    def headers(self) -> dict[str, str]:
        """`Preference-Applied`, when there is something to say."""
        applied = ["respond-async"] if self.respond_async else []
        if self.wait is not None:
            applied.append(f"wait={self.wait}")
        return {"Preference-Applied": ", ".join(applied)} if applied else {}


def parse_prefer(values: Iterable[str]) -> Preferences:
    """Reads all `Prefer` headers of a request. What is unknown or malformed is ignored, as the RFC demands."""
    preferences: dict[str, str] = {}
    for name, value in _preferences(values):
        preferences.setdefault(name, value)  # the first of several counts
    wait = preferences.get("wait", "")
    return Preferences(
        respond_async=preferences.get("respond-async") == "",
        wait=min(int(wait), MAX_WAIT_SECONDS) if _SECONDS.fullmatch(wait) else None,
    )


def _preferences(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names in lower case and values without their quotes; an absent value is as good as an empty one."""
    for value in values:
        if len(value) > _MAX_LENGTH:
            continue
        for element in _ELEMENT.findall(value):
            if (match := _PREFERENCE.fullmatch(element)) is not None:
                yield match[1].lower(), _unquoted(match[2] or "")


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
