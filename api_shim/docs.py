"""The documentation page. Everything it loads comes from this process, so it works without internet."""

from pathlib import Path

import fastapi_offline
import orjson
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from api_shim.openapi import TITLE, describe
from connections.errors import NotFound

# The wheel that carries Swagger UI; its own FastAPI subclass would bring a second page and an OAuth redirect.
_FOLDER = Path(fastapi_offline.__file__).parent / "static"

# What the page loads, by media type. Not `StaticFiles`: it answers a bad Range in words of its own.
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}


def add_docs(app: FastAPI) -> None:
    """Adds `/openapi.json` and `/docs` for the routes the app has by now."""
    document = orjson.dumps(describe(app))
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=TITLE,
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon.png",
    ).body

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(document, media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page)

    @app.get("/docs/assets/{name}", include_in_schema=False)
    def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise NotFound
        return Response((_FOLDER / name).read_bytes(), media_type=_ASSETS[name])
