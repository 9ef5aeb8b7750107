"""Reads a body that is not longer than it may be, JSON or a form, and the head of any body."""

import re

from starlette.requests import ClientDisconnect, Request

from connections.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

# RFC 6839: every media type that ends in +json is JSON. Parameters say nothing about JSON, which is always UTF-8.
_JSON = re.compile(r"\s*application/(?:[\w.!#$&^-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_FORM = re.compile(r"\s*application/x-www-form-urlencoded\s*(?:;.*)?", re.IGNORECASE)


async def read_json(request: Request, *, max_bytes: int) -> bytes:
    """The raw body. Raises `UnsupportedMediaType`, `PayloadTooLarge` or, when the caller hangs up, `BadRequest`.

    A body without a Content-Type is read: nothing but JSON is understood here, so there is nothing to confuse it with.
    """
    if not _JSON.fullmatch(request.headers.get("content-type", "application/json")):
        raise UnsupportedMediaType
    return await _read(request, max_bytes)


async def read_form(request: Request, *, max_bytes: int) -> bytes:
    """As a page of ours sends it, URL-encoded. Raises what `read_json` raises."""
    if not _FORM.fullmatch(request.headers.get("content-type", "")):
        raise UnsupportedMediaType("Send the form as application/x-www-form-urlencoded.")
    return await _read(request, max_bytes)


async def _read(request: Request, max_bytes: int) -> bytes:
    refuse_encoded(request)
    if announced_length(request) > max_bytes:
        raise PayloadTooLarge
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise PayloadTooLarge
    except ClientDisconnect as error:
        raise BadRequest("The request ended before its body did.") from error
    return bytes(body)


def refuse_encoded(request: Request) -> None:
    """Raises `UnsupportedMediaType` for a body that is compressed: a small one could become a large one."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")


def announced_length(request: Request) -> int:
    """Bytes of the body; 0 when the body comes in chunks; servers refuse a Content-Length that is no number."""
    length = request.headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0
