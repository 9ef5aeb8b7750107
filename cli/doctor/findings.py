"""What a check says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """In the order of their weight. `SKIPPED`: what it needs has failed, so there is nothing to see."""

    OK = "ok"
    SKIPPED = "skipped"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` and `advice` are for people, one line each; `facts` are figures for machines. No secret is in any."""

    verdict: Verdict
    found: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def ok(found: str, **facts: Any) -> Finding:
    return Finding(Verdict.OK, found, "", facts)


def warn(found: str, advice: str, **facts: Any) -> Finding:
    return Finding(Verdict.WARN, found, advice, facts)


def fail(found: str, advice: str, **facts: Any) -> Finding:
    return Finding(Verdict.FAIL, found, advice, facts)


def skipped(needs: str) -> Finding:
    return Finding(Verdict.SKIPPED, f"not checked: see {needs}")


_WEIGHT = list(Verdict)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Of none it is `OK`."""
    return max((each.verdict for each in findings), key=_WEIGHT.index, default=Verdict.OK)
