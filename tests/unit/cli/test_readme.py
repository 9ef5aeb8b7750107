"""The README tells of every setting and every error."""

import re
from pathlib import Path

from api_shim.errors import STATUS
from connections.settings import Settings
from tests.processes import ROOT

README = Path(ROOT / "README.md").read_text()


def rows(heading: str) -> list[str]:
    """The first table under a heading."""
    below = README.split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table is not None
    return table[0].splitlines()[2:]


def test_every_setting_is_in_the_table() -> None:
    documented = {row.split("`")[1] for row in rows("## Run it for real")}
    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_error_is_in_the_table() -> None:
    documented = {
        (int(status), code)
        for row in rows("### Errors")
        for status in re.findall(r"\d{3}", row.split("|")[1])
        for code in re.findall(r"`([A-Z_]+)`", row.split("|")[2])
    }
    assert {(status, code) for code, status in STATUS.items()} <= documented
