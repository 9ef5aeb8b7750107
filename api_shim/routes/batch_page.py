"""`GET /batches/{batch_id}`: how a batch comes along, for people."""

import re

from fastapi import APIRouter
from starlette.responses import Response

from api_shim.pages import build_page

router = APIRouter(include_in_schema=False)

# As `connections.ids` makes them. The page itself is the same for every batch; its script reads the address.
_BATCH_ID = re.compile("cb_[0-9a-hjkmnp-tv-z]{26}")

_PAGE = build_page(
    "batch.html", style="page.css", scripts=("words.js", "requests.js", "events.js", "view.js", "batch.js")
)
_NO_BATCH = build_page("no_batch.html", style="page.css")


@router.api_route("/batches/{batch_id}", methods=["GET", "HEAD"])
async def get_batch_page(batch_id: str) -> Response:
    """Shows the page without a key: it has no data, and whether there is such a batch only the API tells."""
    return _PAGE.answer() if _BATCH_ID.fullmatch(batch_id) else _NO_BATCH.answer(404)
