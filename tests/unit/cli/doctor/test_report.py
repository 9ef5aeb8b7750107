"""Findings as people and monitors read them."""

import json

import pytest

from cli.doctor.findings import Finding, Verdict, fail, ok, skipped, warn
from cli.doctor.report import as_json, coloured, lines, summary


def test_a_line_for_each_check() -> None:
    assert lines("database", ok("fine")) == "ok    database        fine"
    assert lines("workers", skipped("redis")) == "-     workers         not checked: see redis"
    assert lines("redis", fail("nothing listens there", "start it")) == (
        "fail  redis           nothing listens there\n                      > start it"
    )


def test_long_lines_are_wrapped_beneath_themselves() -> None:
    told = lines("dns", warn("so much was found that it is long", "so do this and that and more"), 44)
    assert told == (
        "warn  dns             so much was found that\n"
        "                      it is long\n"
        "                      > so do this and that\n"
        "                        and more"
    )


def test_colours_are_for_the_mark() -> None:
    assert coloured(Verdict.FAIL, lines("redis", fail("away", ""))).startswith("\x1b[31mfail  \x1b[0mredis ")


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([ok("a"), ok("b")], "All is well."),
        ([ok("a"), warn("b", "do")], "1 warning."),
        ([fail("a", "do"), skipped("a"), warn("b", "do"), warn("c", "do")], "1 check fails, 2 warnings."),
        ([fail("a", "do"), fail("b", "do")], "2 checks fail."),
    ],
)
def test_the_last_line(findings: list[Finding], said: str) -> None:
    assert summary(findings) == said


def test_json() -> None:
    told = json.loads(as_json([("rows", ok("none in flight", rows=0)), ("disk", warn("2 MB free", "make room"))]))
    assert told == {
        "verdict": "warn",
        "checks": [
            {"name": "rows", "verdict": "ok", "found": "none in flight", "advice": None, "facts": {"rows": 0}},
            {"name": "disk", "verdict": "warn", "found": "2 MB free", "advice": "make room", "facts": {}},
        ],
    }
