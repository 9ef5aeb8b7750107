"""The reference tells of every setting and every error."""

import re

from api_shim.errors import STATUS
from connections.settings import Settings
from tests.processes import ROOT

REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def rows(heading: str) -> list[str]:
    """The first table under a heading."""
    below = REFERENCE.split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table is not None
    return table[0].splitlines()[2:]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    documented = {name.strip("`").lower(): default for name, default, *_ in map(cells, rows("## Settings"))}
    assert documented.keys() == Settings.model_fields.keys()

    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    # Where nothing is the default, the table says in words what that means.
    literal = {name: shown(default) for name, default in defaults.items() if default not in (None, "", ())}
    assert {name: documented[name] for name in literal} == literal


def shown(default: object) -> str:
    if isinstance(default, bool):
        return f"`{default}`".lower()
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_every_error_is_in_the_table() -> None:
    """A row has one status for all its codes, or one for each, in their order."""
    documented: list[tuple[str, int]] = []
    for statuses, codes, *_ in map(cells, rows("## Errors")):
        numbers = [int(status) for status in statuses.split(",")]
        names = [code.strip(" `") for code in codes.split(",")]
        documented += zip(names, numbers * len(names) if len(numbers) == 1 else numbers, strict=True)
    assert sorted(documented) == sorted(STATUS.items())
