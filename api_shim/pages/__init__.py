"""HTML pages. Ours are one answer each, with style and script inside, so that nothing else needs to be allowed.

Those that are built here are the same bytes for everyone and hold no data: the script asks the API for that, with a key
of the reader's. The hosted form (`api_shim.hosted`) is made anew for each reader, under a policy made here.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from starlette.responses import HTMLResponse, Response

_FOLDER = Path(__file__).parent

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What is sent for a page, whoever asks."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    def answer(self, status: int = 200) -> Response:
        return HTMLResponse(self.body, status, dict(self.headers))


# Content Security Policy, level 3: the API behind this address, and nothing else until a page says so.
_POLICY = {
    "default-src": "'none'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


def build_page(template: str, *, style: str, scripts: Sequence[str] = ()) -> Page:
    """Puts the files into the template's empty `<style>` and `<script>`; the scripts share one scope, in this order.

    Its policy allows these two texts, and no trusted types: so the browser itself refuses `innerHTML` and the like.
    """
    css = _read(style)
    script = "\n".join(map(_read, scripts))
    html = _read(template).replace("<style></style>", f"<style>{css}</style>")
    html = html.replace('<script type="module"></script>', f'<script type="module">{script}</script>')
    allowed = {
        "script-src": source_of(script) if script else "'none'",
        "style-src": source_of(css),
        "img-src": "data:",  # the empty icon, or the browser asks for /favicon.ico
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return _page(html, allowed)


def build_page_of_files(template: str) -> Page:
    """The template as it is, with style, scripts and pictures that it loads from this service."""
    return _page(_read(template), {"script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:"})


def read(name: str) -> bytes:
    """One of the files, for an address of its own."""
    return (_FOLDER / name).read_bytes()


def headers_of(allowed: Mapping[str, str]) -> dict[str, str]:
    """The headers of a page whose policy allows this beyond what all pages may, by directive."""
    policy = "; ".join(f"{name} {value}" for name, value in (_POLICY | dict(allowed)).items())
    return _HEADERS | {"Content-Security-Policy": policy}


def source_of(text: str) -> str:
    """What a policy calls a style or script that stands in the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _page(html: str, allowed: Mapping[str, str]) -> Page:
    return Page(html.encode(), MappingProxyType(headers_of(allowed)))


def _read(name: str) -> str:
    return read(name).decode()
