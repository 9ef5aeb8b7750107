"""What the documentation says of the routes of the workspace."""

from typing import Any

from api_shim.documented import EXAMPLE_REQUEST_ID, WITH_A_KEY, answers, failures
from api_shim.routes.profiles_docs import NAME_PATTERN
from connections.contract import Issue, WorkspaceAnswer
from connections.errors import PayloadTooLarge, UnsupportedMediaType, ValidationFailed
from connections.owners.bodies import MAX_MONTHLY_LIMIT, MAX_NAME, MAX_RETURN_URLS
from connections.return_urls import MAX_LENGTH

_WORKSPACE = {
    "id": "ws_01jd2w4k0v6b8d0f2h4k6n8q0s",
    "name": "Acme",
    "per_account_monthly_limit": None,
    "usage_modes": ["connect"],
    "return_urls": ["https://app.acme.example.com/social/"],
    "created_at": "2026-11-23T09:00:00.123Z",
    "updated_at": "2026-11-23T09:30:00.456Z",
}
_MEMBERS = {
    "name": {"type": "string", "maxLength": MAX_NAME, "pattern": NAME_PATTERN, "description": "For people."},
    "per_account_monthly_limit": {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": MAX_MONTHLY_LIMIT,
        "description": "Kept for the SDKs; nothing here publishes, so nothing counts.",
    },
    "return_urls": {
        "type": "array",
        "maxItems": MAX_RETURN_URLS,
        "items": {"type": "string", "maxLength": MAX_LENGTH, "format": "uri"},
        "description": "Prefixes of the URLs that the hosted form may send people back to, without user, query, "
        "fragment or dot segments. A URL is allowed when it has the origin of one of them and its path is that of the "
        "prefix, or goes on behind it with `/`. https; outside production also http to localhost and 127.0.0.1.",
    },
}
_BAD_URL = Issue(field="return_urls.0", code="invalid_url", message="return_urls.0 must begin with https://.")


def _workspace(description: str) -> dict[str, Any]:
    example = {"data": _WORKSPACE, "request_id": EXAMPLE_REQUEST_ID}
    return answers(WorkspaceAnswer, description=description, example=example)


GET_WORKSPACE: dict[str, Any] = {
    "summary": "Look at the workspace",
    "responses": {200: _workspace("The workspace."), **failures(*WITH_A_KEY)},
}

UPDATE_WORKSPACE: dict[str, Any] = {
    "summary": "Change the workspace",
    "responses": {
        200: _workspace("The workspace as it is now."),
        **failures(
            *WITH_A_KEY,
            PayloadTooLarge(),
            UnsupportedMediaType(),
            ValidationFailed(_BAD_URL.message, issues=[_BAD_URL]),
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "JSON of at most 128 KiB; what is not known is ignored.",
            "content": {
                "application/json": {
                    "schema": {"type": "object", "properties": _MEMBERS},
                    "example": {"name": "Acme", "return_urls": _WORKSPACE["return_urls"]},
                }
            },
        },
    },
}
