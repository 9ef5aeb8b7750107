"""YAML and JSON that a strict reader accepts."""

import json
from pathlib import Path
from typing import Any

import pytest
from yamllint import linter
from yamllint.config import YamlLintConfig

from tests.deploy.files import DASHBOARD, all_yaml
from tests.processes import ROOT

_CONFIG = YamlLintConfig("""
extends: default
rules:
  document-start: disable
  braces: { min-spaces-inside: 1, max-spaces-inside: 1 }
  comments: { min-spaces-from-content: 1 }
  line-length: { max: 120 }
  truthy: { allowed-values: ["true", "false"] }
""")


@pytest.mark.parametrize("path", all_yaml(), ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_has_no_key_twice_and_nothing_that_two_readers_take_for_two_things(path: Path) -> None:
    assert [str(problem) for problem in linter.run(path.read_text(), _CONFIG)] == []


def test_json_has_no_key_twice() -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)

    json.loads(DASHBOARD.read_text(), object_pairs_hook=unique)
