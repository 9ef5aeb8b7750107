"""A Dockerfile as data, as far as ours needs it: no heredocs, no parser directives.

https://docs.docker.com/reference/dockerfile/
"""

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Instruction:
    """`name` is in capitals, `text` all that follows it, on one line."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of a COPY, options left out, or of the JSON form of a command."""
        if self.text.startswith("["):
            words: list[str] = json.loads(self.text)
            return words
        return [word for word in self.text.split() if not word.startswith("--")]


Stage = list[Instruction]


def read_stages(path: Path) -> list[Stage]:
    """Each begins with its FROM."""
    without_comments = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    one_a_line = re.sub(r"\\\n\s*", "", without_comments)
    stages: list[Stage] = []
    for line in filter(None, one_a_line.splitlines()):
        name, text = line.split(maxsplit=1)
        if name == "FROM":
            stages.append([])
        stages[-1].append(Instruction(name, text))
    return stages


def environment(stage: Stage, path: str) -> dict[str, str]:
    """What its ENVs set, where PATH was `path` before."""
    pairs = [re.findall(r"(\w+)=(\S+)", step.text) for step in stage if step.name == "ENV"]
    return {name: value.replace("$PATH", path) for each in pairs for name, value in each}


def is_ignored(name: PurePosixPath, dockerignore: Path) -> bool:
    """Whether a file is kept from the build. The last line that fits it, or a folder it is in, decides."""
    ignored = False
    for line in dockerignore.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        if any(_fits(each, pattern) for each in (name, *name.parents)):
            ignored = not line.startswith("!")
    return ignored


def _fits(name: PurePosixPath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatchcase(name.name, pattern.removeprefix("**/"))
    return len(name.parts) == pattern.count("/") + 1 and fnmatchcase(str(name), pattern)
