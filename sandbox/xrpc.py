"""XRPC on the server's side: the shape of errors, the checks on input and on the Authorization header.

Source: https://atproto.com/specs/xrpc and `@atproto/xrpc-server` 0.10, whose texts are kept.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.message import HeaderList, Request, Response, json_response

MAX_JSON_BYTES = 150 * 1024


class XrpcError(Exception):
    """An answer other than 200: status, `error` name, message, and headers of its own."""

    def __init__(self, status: int, error: str, message: str, headers: HeaderList | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.headers = headers or []

    def response(self, headers: HeaderList) -> Response:
        """The answer: its own headers after those gathered until it was raised."""
        body = {"error": self.error, "message": self.message}
        return json_response(self.status, body, [*headers, *self.headers])


def invalid_request(message: str, error: str = "InvalidRequest") -> XrpcError:
    """A 400."""
    return XrpcError(400, error, message)


def auth_required(message: str = "Authentication Required", error: str = "AuthenticationRequired") -> XrpcError:
    """A 401."""
    return XrpcError(401, error, message)


def internal_error() -> XrpcError:
    """A 500, which never says more."""
    return XrpcError(500, "InternalServerError", "Internal Server Error")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an input object."""

    kind: type
    required: bool = False


Schema = Mapping[str, Key]

_KIND_NAMES: dict[type, str] = {str: "string", bool: "boolean", dict: "object"}


def read_input(request: Request, schema: Schema | None) -> dict[str, Any]:
    """The JSON body of a procedure, checked against its schema; None stands for a procedure without input.

    Raises XrpcError: 400 for a wrong encoding, wrong JSON, a missing key or a wrong type, 413 over 150 KiB.
    """
    if schema is None:
        if request.body:
            raise invalid_request("A request body was provided when none was expected")
        return {}
    content_type = request.headers.get(b"content-type")
    if content_type is None:
        raise invalid_request("Request encoding (Content-Type) required but not provided")
    encoding = content_type.decode("latin-1").partition(";")[0].strip()
    if encoding != "application/json":
        raise invalid_request(f"Wrong request encoding (Content-Type): {encoding}")
    if len(request.body) > MAX_JSON_BYTES:
        raise XrpcError(413, "PayloadTooLargeError", "request entity too large")
    value = request.json() if request.body else {}
    if not isinstance(value, dict):
        if not isinstance(value, list):
            raise invalid_request("The body is not valid JSON", "SyntaxError")
        raise _wrong_type(value, dict, "$")
    for name, key in schema.items():
        if name in value:
            if not isinstance(value[name], key.kind):
                raise _wrong_type(value[name], key.kind, f"$.{name}")
        elif key.required:
            raise invalid_request(f'Missing required key "{name}" at $')
    return value


def _wrong_type(value: Any, kind: type, where: str) -> XrpcError:
    got = json.dumps(value, separators=(",", ":"))
    return invalid_request(f"Expected {_KIND_NAMES[kind]} value type (got {got}) at {where}")


def authorization(request: Request) -> tuple[str, str] | None:
    """Type in lower case and value of the Authorization header, or None without one.

    Raises XrpcError (400) when it has another shape or an unknown type.
    """
    header = request.headers.get(b"authorization")
    if not header:
        return None
    parts = header.decode("latin-1").split(" ")
    if len(parts) != 2:
        raise invalid_request("Malformed authorization header", "InvalidToken")
    if parts[0].lower() not in ("basic", "bearer", "dpop"):
        raise invalid_request(f"Unsupported authorization type: {parts[0]}", "InvalidToken")
    return parts[0].lower(), parts[1]


def bearer_token(request: Request) -> str:
    """The bearer token. Raises XrpcError: 401 AuthMissing without one, 400 InvalidToken for another type."""
    found = authorization(request)
    if found is None:
        raise auth_required(error="AuthMissing")
    if found[0] != "bearer":
        raise invalid_request("Unexpected authorization type", "InvalidToken")
    return found[1]


def require_admin(request: Request, password: str) -> None:
    """Basic authentication as `admin`. Raises XrpcError (401)."""
    found = authorization(request)
    if found is None or found[0] != "basic":
        raise auth_required()
    try:
        given = base64.b64decode(found[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise auth_required() from None
    if given != f"admin:{password}":
        raise auth_required()
