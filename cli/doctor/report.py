"""Findings as lines for people and as JSON for monitors."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

import typer

from cli.doctor.findings import Finding, Verdict, worst

_COLOURS = {
    Verdict.OK: typer.colors.GREEN,
    Verdict.SKIPPED: typer.colors.BRIGHT_BLACK,
    Verdict.WARN: typer.colors.YELLOW,
    Verdict.FAIL: typer.colors.RED,
}
_MARKS = {verdict: verdict.value for verdict in Verdict} | {Verdict.SKIPPED: "-"}
_MARK_WIDTH = 6
_NAME_WIDTH = 16

NEVER_WRAPPED = 10_000


def lines(name: str, finding: Finding, width: int = NEVER_WRAPPED) -> str:
    """One check: mark, name, what was found, and beneath it what to do. Wrapped to `width` columns."""
    indent = " " * (_MARK_WIDTH + _NAME_WIDTH)
    found = _wrapped(finding.found, width, f"{' ' * _MARK_WIDTH}{name:{_NAME_WIDTH}}", indent)
    advice = _wrapped(finding.advice, width, f"{indent}> ", f"{indent}  ")
    return "\n".join([f"{_MARKS[finding.verdict]:{_MARK_WIDTH}}" + found[0][_MARK_WIDTH:], *found[1:], *advice])


def coloured(verdict: Verdict, text: str) -> str:
    """`lines` with its mark in the colour of its weight."""
    return typer.style(text[:_MARK_WIDTH], fg=_COLOURS[verdict]) + text[_MARK_WIDTH:]


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(others) + 20),
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
        break_long_words=False,
    )


def summary(findings: Iterable[Finding]) -> str:
    """The last line."""
    counted = Counter(finding.verdict for finding in findings)
    named = ((counted[Verdict.FAIL], "check fails", "checks fail"), (counted[Verdict.WARN], "warning", "warnings"))
    parts = [f"{count} {one if count == 1 else many}" for count, one, many in named if count]
    return f"{', '.join(parts) or 'All is well'}."


def as_json(findings: Sequence[tuple[str, Finding]]) -> str:
    """One object: the worst verdict, and every check with its own."""
    return json.dumps(
        {
            "verdict": worst(finding for _, finding in findings),
            "checks": [
                {
                    "name": name,
                    "verdict": finding.verdict,
                    "found": finding.found,
                    "advice": finding.advice or None,
                    "facts": finding.facts,
                }
                for name, finding in findings
            ],
        }
    )
