"""Every link in the documents leads to a file that is there, and to a heading in it."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.processes import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|<(?:img|source|a)\b[^>]*?\s(?:src|srcset|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(text: str) -> Iterator[str]:
    """All but those to other sites."""
    for match in _LINK.finditer(_CODE.sub("", text)):
        target = match[1] or match[2]
        if not re.match("[a-z]+:", target):
            yield target


@cache
def anchors(document: Path) -> frozenset[str]:
    """As GitHub makes them of headings: lower case, hyphens for blanks, no punctuation, a number after the first."""
    found: list[str] = []
    for heading in _HEADING.findall(_FENCED.sub("", document.read_text())):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        again = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", known) is not None for known in found)
        found.append(f"{anchor}-{again}" if again else anchor)
    return frozenset(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in links(document.read_text()):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_relative_to(ROOT.resolve()), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_documents_have_links_of_all_kinds() -> None:
    found = [link for document in DOCUMENTS for link in links(document.read_text())]

    assert any(link.endswith(".svg") for link in found)
    assert any("#" in link for link in found)
    assert any(link.startswith("adr/") for link in found)


def test_an_anchor_is_made_as_github_makes_it(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("# Who holds what?\n## `A` & [B](c.md)\n## Twice\n## Twice\n```sh\n# no heading\n```\n")

    assert anchors(document) == {"who-holds-what", "a--b", "twice", "twice-1"}
