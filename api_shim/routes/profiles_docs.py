"""What the documentation says of the routes of profiles."""

from typing import Any

from api_shim.documented import (
    EXAMPLE_PROFILE_ID,
    EXAMPLE_REQUEST_ID,
    WITH_A_KEY,
    answers,
    failures,
    location,
)
from connections.contract import Issue, ProfileAnswer, ProfilesAnswer
from connections.errors import (
    NotFound,
    PayloadTooLarge,
    ProfileInUse,
    ProfileNameTaken,
    UnsupportedMediaType,
    ValidationFailed,
)
from connections.owners.bodies import MAX_LOGO_URL, MAX_NAME

# At least one character that can be seen, and none of those that control something.
NAME_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"

_PROFILE = {
    "id": EXAMPLE_PROFILE_ID,
    "workspace_id": "ws_01jd2w4k0v6b8d0f2h4k6n8q0s",
    "name": "Acme Coffee",
    "account_count": 42,
    "created_at": "2026-11-23T09:00:00.123Z",
    "updated_at": "2026-11-23T09:30:00.456Z",
    "branding_logo_url": "https://acme.example.com/logo.png",
    "branding_display_name": "Acme",
    "branding_primary_color": "#0a7cff",
}

_MEMBERS = {
    "name": {
        "type": "string",
        "maxLength": MAX_NAME,
        "pattern": NAME_PATTERN,
        "description": "No other profile of the workspace has it.",
    },
    "branding_logo_url": {
        "type": ["string", "null"],
        "maxLength": MAX_LOGO_URL,
        "anyOf": [{"format": "uri"}, {"maxLength": 0}],
        "description": "An https URL, without user or fragment.",
    },
    "branding_display_name": {
        "type": ["string", "null"],
        "maxLength": MAX_NAME,
        "pattern": f"^$|{NAME_PATTERN}",
        "description": "What the hosted form calls you.",
    },
    "branding_primary_color": {
        "type": ["string", "null"],
        "pattern": "^(#[0-9A-Fa-f]{6})?$",
        "description": "As `#0a7cff`.",
    },
}
_BODY_EXAMPLE = {"name": "Acme Coffee", "branding_display_name": "Acme", "branding_primary_color": "#0a7cff"}


def body(members: dict[str, Any], example: dict[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """A JSON body of these members."""
    schema = {"type": "object", "properties": members} | ({"required": [*required]} if required else {})
    return {
        "requestBody": {
            "required": True,
            "description": "JSON of at most 64 KiB; what is not known is ignored. Null, or an empty text, takes away.",
            "content": {"application/json": {"schema": schema, "example": example}},
        }
    }


_NO_NAME = Issue(field="name", code="required", message="name is required.")
_NO_COLOR = Issue(
    field="branding_primary_color", code="invalid_color", message="branding_primary_color must look like #0a7cff."
)
_TAKEN = ProfileNameTaken(details={"profile_id": EXAMPLE_PROFILE_ID})
_BAD_BODIES = (PayloadTooLarge(), UnsupportedMediaType())
_ONE = (*WITH_A_KEY, NotFound("There is no such profile."))


def _profile(description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    example = {"data": _PROFILE, "request_id": EXAMPLE_REQUEST_ID}
    return answers(ProfileAnswer, description=description, headers=headers, example=example)


LIST_PROFILES: dict[str, Any] = {
    "summary": "List profiles",
    "responses": {
        200: answers(
            ProfilesAnswer,
            description="A page of profiles.",
            example={
                "data": [_PROFILE],
                "meta": {"limit": 1, "next_cursor": EXAMPLE_PROFILE_ID, "has_more": True},
                "request_id": EXAMPLE_REQUEST_ID,
            },
        ),
        **failures(
            *WITH_A_KEY,
            ValidationFailed(
                issues=[Issue(field="limit", code="out_of_range", message="limit must be between 1 and 1000.")]
            ),
        ),
    },
}

CREATE_PROFILE: dict[str, Any] = {
    "summary": "Make a profile",
    "responses": {
        201: _profile("The new profile.", location("The profile.")),
        **failures(*WITH_A_KEY, *_BAD_BODIES, ValidationFailed(_NO_NAME.message, issues=[_NO_NAME]), _TAKEN),
    },
    "openapi_extra": body(_MEMBERS, _BODY_EXAMPLE, required=("name",)),
}

GET_PROFILE: dict[str, Any] = {
    "summary": "Look at a profile",
    "responses": {200: _profile("The profile."), **failures(*_ONE)},
}

UPDATE_PROFILE: dict[str, Any] = {
    "summary": "Change a profile",
    "responses": {
        200: _profile("The profile as it is now."),
        **failures(*_ONE, *_BAD_BODIES, ValidationFailed(_NO_COLOR.message, issues=[_NO_COLOR]), _TAKEN),
    },
    "openapi_extra": body(_MEMBERS, {"branding_logo_url": None, "branding_primary_color": "#ff6600"}),
}

DELETE_PROFILE: dict[str, Any] = {
    "summary": "Delete a profile",
    "responses": {
        204: {"description": "It is deleted."},
        **failures(*_ONE, ProfileInUse(details={"accounts": 42, "unfinished_tasks": 0})),
    },
}
