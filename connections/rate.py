"""So many of something in so much time, as settings and headers write it."""

import re
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any `seconds`."""

    count: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`10/900` is ten in a quarter of an hour. Raises `ValueError` for anything else."""
        match = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,6})", text.strip(), re.ASCII)
        if match is None:
            raise ValueError("must be a count and seconds such as 10/900")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds}"
