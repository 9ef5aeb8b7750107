"""From the bytes of a connect request to a command, or to one issue for every field that is wrong.

Written by hand rather than as a pydantic model with aliases: the issue names the field as the caller spelt it, and no
validator ever holds a password in an error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from connections.contract import Issue
from connections.errors import NotFound, ValidationFailed
from connections.platforms import OAUTH_PLATFORMS, PLATFORMS, CredentialField

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

JSON_NAMES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class ConnectCommand:
    """A connect request that is well-formed. Whether it can be done is for the worker to find out."""

    platform: str
    identifier: str
    password: str = field(repr=False)
    profile_id: str | None = None
    account_id: str | None = None
    """The account that is to be reconnected, and keeps its id and profile."""
    connect_session_id: str | None = None
    """The link that an end user has followed to send this."""


def parse_reconnect(body: bytes, account_id: str) -> ConnectCommand:
    """The body of a connect request, whose platform goes without saying and whose profile stays. Raises
    `ValidationFailed` with one issue per field."""
    request = {"platform": "bluesky", **parse_object(body), "profile_id": None}
    return _read_connect(request, account_id)


def parse_connect(body: bytes) -> ConnectCommand:
    """Raises `ValidationFailed` with one issue per field."""
    return _read_connect(parse_object(body))


def _read_connect(request: Mapping[str, object], account_id: str | None = None) -> ConnectCommand:
    issues: list[Issue] = []
    profile_id = read_profile_id(request.get("profile_id"), issues)
    platform = read_platform(request.get("platform"), issues)
    credentials = request.get("credentials")
    values: list[str] = []
    if platform in PLATFORMS:
        values = _credentials(credentials, PLATFORMS[platform].fields, issues)
    elif not isinstance(credentials, dict) and platform not in OAUTH_PLATFORMS:
        issues.append(wrong_type("credentials", credentials, "an object"))
    if issues:
        raise refused(issues)
    identifier, password = values
    return ConnectCommand(platform, identifier, password, profile_id, account_id)


DEFAULT_SECONDS_LEFT = 300
MOST_SECONDS_LEFT = 3600


def parse_session_request(body: bytes) -> int:
    """For how many seconds a session must live on that is asked for. Raises `ValidationFailed`."""
    value = parse_object(body).get("min_seconds_left") if body else None
    if value is None:
        return DEFAULT_SECONDS_LEFT
    issues: list[Issue] = []
    if isinstance(value, bool) or not isinstance(value, int | float):
        issues.append(wrong_type("min_seconds_left", value, "a number"))
    elif not 0 <= value <= MOST_SECONDS_LEFT:
        message = f"min_seconds_left must be between 0 and {MOST_SECONDS_LEFT}."
        issues.append(Issue(field="min_seconds_left", code="out_of_range", message=message))
    elif value != int(value):
        message = "min_seconds_left must be a whole number."
        issues.append(Issue(field="min_seconds_left", code="invalid_type", message=message))
    if issues:
        raise refused(issues)
    return int(value)


def is_id(value: str) -> bool:
    """Whether this can be an id at all; anything else need not be looked up."""
    return _ID.fullmatch(value) is not None


def parse_object(body: bytes) -> dict[str, Any]:
    """Raises `ValidationFailed` for a body that is not JSON or no object."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise refused([Issue(field="body", code="invalid_json", message="The body is not valid JSON.")]) from None
    if not isinstance(request, dict):
        raise refused([wrong_type("body", request, "an object")])
    return request


def read_profile_id(value: object, issues: list[Issue]) -> str | None:
    if value is None or (isinstance(value, str) and is_id(value)):
        return value
    if isinstance(value, str):
        issues.append(unknown_profile())
    else:
        issues.append(wrong_type("profile_id", value, "a string"))
    return None


def read_platform(value: object, issues: list[Issue]) -> str:
    if not isinstance(value, str) or not value:
        issues.append(wrong_type("platform", value, "a string"))
        return ""
    name = value.strip().lower()
    if name in OAUTH_PLATFORMS:
        issues.append(
            Issue(
                field="platform",
                code="oauth_platform",
                message=f"{name} accounts are connected by OAuth, not with credentials. Use OAuth connect.",
            )
        )
    elif name not in PLATFORMS:
        known = ", ".join(sorted(PLATFORMS))
        issues.append(
            Issue(field="platform", code="unknown_platform", message=f"Unknown platform. Supported: {known}.")
        )
    return name


def _credentials(value: object, fields: tuple[CredentialField, ...], issues: list[Issue]) -> list[str]:
    if not isinstance(value, dict):
        issues.append(wrong_type("credentials", value, "an object"))
        return []
    return [read_credential(value, wanted, issues, prefix="credentials.") for wanted in fields]


def read_credential(
    sent: Mapping[str, object], wanted: CredentialField, issues: list[Issue], *, prefix: str = ""
) -> str:
    """The credential, or an empty text and one more issue, whose field is what the caller calls it behind `prefix`."""
    name = sent_name(sent, wanted)
    value = sent.get(name)
    path = f"{prefix}{name}"
    if value is None or (isinstance(value, str) and not value.strip()):
        issues.append(Issue(field=path, code="required", message=f"{path} is required."))
    elif not isinstance(value, str):
        issues.append(wrong_type(path, value, "a string"))
    elif len(value) > wanted.max_length:
        message = f"{path} is longer than {wanted.max_length} characters."
        issues.append(Issue(field=path, code="too_long", message=message))
    else:
        return value
    return ""


def sent_name(sent: Mapping[str, object], wanted: CredentialField) -> str:
    """Under which of its names a credential was sent; the first one when it was not."""
    return next((name for name in (wanted.name, *wanted.aliases) if sent.get(name) is not None), wanted.name)


def refused(issues: list[Issue]) -> ValidationFailed:
    """The error of these issues. One that is alone speaks for all."""
    return ValidationFailed(issues[0].message if len(issues) == 1 else None, issues=issues)


def unknown_profile() -> Issue:
    return Issue(field="profile_id", code="unknown_profile", message="This workspace has no profile with this id.")


def no_such_account() -> NotFound:
    """Also of one that is another workspace's."""
    return NotFound("There is no such account.")


def wrong_type(path: str, value: object, expected: str) -> Issue:
    """`value` is only looked at for its type, which must be one that JSON has."""
    if value is None and path != "body":
        return Issue(field=path, code="required", message=f"{path} is required.")
    got = JSON_NAMES[type(value)] if value != "" else "empty"
    return Issue(field=path, code="invalid_type", message=f"{path} must be {expected}, not {got}.")
