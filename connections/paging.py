"""Lists that are read a page at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and whether there are more after the last of them."""

    rows: list[T]
    has_more: bool


def read_page(read: Callable[[int], list[T]], limit: int) -> Page[T]:
    """`read` gives so many rows at most, and is asked for one more than there is room for."""
    rows = read(limit + 1)
    return Page(rows[:limit], has_more=len(rows) > limit)
