"""What lists have in common that are read a page at a time: their parameters, and where a page stands."""

from typing import Annotated, Protocol, TypeVar

from fastapi import Query

from connections.contract import PageMeta
from connections.paging import MAX_LIMIT, Page

# A cursor is the id of the last row of the page before. To the caller it is a word.
_CURSOR = "^[a-z]{2}_[0-9A-Za-z]{1,37}$"

# The SDKs' `list` never asks for a second page, and their `accounts.get` looks for its account on the first: so the
# first one is as large as a page can be, unless a caller knows of pages.
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many on a page.")]
Cursor = Annotated[str | None, Query(pattern=_CURSOR, description="`meta.next_cursor` of the page before.")]


class _Named(Protocol):
    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=_Named)


def page_meta(page: Page[Row], limit: int) -> PageMeta:
    return PageMeta(limit=limit, next_cursor=page.rows[-1].id if page.has_more else None, has_more=page.has_more)
