"""The documentation page. Everything it loads comes from this process, so it works without internet."""

from functools import cache
from pathlib import Path

import fastapi_offline
import orjson
from fastapi import FastAPI
from starlette.responses import Response

from api_shim import pages, routes
from api_shim.introduction import API_VERSION
from api_shim.openapi import describe
from connections.errors import NotFound

# The wheel that carries Swagger UI; its own FastAPI subclass would bring a second page and an OAuth redirect.
_SWAGGER_UI = Path(fastapi_offline.__file__).parent / "static"

# What the page loads, by media type. Not `StaticFiles`: it answers a bad Range in words of its own.
_THEIRS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_OURS = {"docs.js": "text/javascript", "docs.css": "text/css"}

_PAGE = pages.build_page_of_files("docs.html")


def add_docs(app: FastAPI) -> None:
    """Adds `/openapi.json` and `/docs`."""
    document = _document()

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(document, media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return _PAGE.answer()

    @app.get("/docs/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name in _OURS:
            return Response(pages.read(name), media_type=_OURS[name])
        if name in _THEIRS:
            return Response((_SWAGGER_UI / name).read_bytes(), media_type=_THEIRS[name])
        raise NotFound


@cache
def _document() -> bytes:
    """The routes are the same in every app of a process, and a quarter of a second goes into their description."""
    app = FastAPI(version=API_VERSION)
    for router in routes.ALL:
        app.include_router(router)
    return orjson.dumps(describe(app))
