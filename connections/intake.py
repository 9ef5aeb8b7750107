"""From the bytes of a connect request to a command, or to one issue for every field that is wrong.

Written by hand rather than as a pydantic model with aliases: the issue names the field as the caller spelt it, and no
validator ever holds a password in an error.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from connections.contract import Issue
from connections.errors import ValidationFailed
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


def parse_connect(body: bytes) -> ConnectCommand:
    """Raises `ValidationFailed` with one issue per field."""
    request = _parse_object(body)
    issues: list[Issue] = []
    profile_id = _profile_id(request.get("profile_id"), issues)
    platform = _platform(request.get("platform"), issues)
    credentials = request.get("credentials")
    values: list[str] = []
    if platform in PLATFORMS:
        values = _credentials(credentials, PLATFORMS[platform].fields, issues)
    elif not isinstance(credentials, dict) and platform not in OAUTH_PLATFORMS:
        issues.append(_wrong_type("credentials", credentials, "an object"))
    if issues:
        raise ValidationFailed(issues[0].message if len(issues) == 1 else None, issues=issues)
    identifier, password = values
    return ConnectCommand(platform=platform, identifier=identifier, password=password, profile_id=profile_id)


def is_id(value: str) -> bool:
    """Whether this can be an id at all; anything else need not be looked up."""
    return _ID.fullmatch(value) is not None


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        issue = Issue(field="body", code="invalid_json", message="The body is not valid JSON.")
        raise ValidationFailed(issue.message, issues=[issue]) from None
    if not isinstance(request, dict):
        issue = _wrong_type("body", request, "an object")
        raise ValidationFailed(issue.message, issues=[issue])
    return request


def _profile_id(value: object, issues: list[Issue]) -> str | None:
    if value is None or (isinstance(value, str) and is_id(value)):
        return value
    if isinstance(value, str):
        issues.append(unknown_profile())
    else:
        issues.append(_wrong_type("profile_id", value, "a string"))
    return None


def _platform(value: object, issues: list[Issue]) -> str:
    if not isinstance(value, str) or not value:
        issues.append(_wrong_type("platform", value, "a string"))
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
        issues.append(_wrong_type("credentials", value, "an object"))
        return []
    return [_credential(value, wanted, issues) for wanted in fields]


def _credential(sent: dict[str, Any], wanted: CredentialField, issues: list[Issue]) -> str:
    name = next((name for name in (wanted.name, *wanted.aliases) if sent.get(name) is not None), wanted.name)
    value = sent.get(name)
    path = f"credentials.{name}"
    if value is None or (isinstance(value, str) and not value.strip()):
        issues.append(Issue(field=path, code="required", message=f"{path} is required."))
    elif not isinstance(value, str):
        issues.append(_wrong_type(path, value, "a string"))
    elif len(value) > wanted.max_length:
        message = f"{path} is longer than {wanted.max_length} characters."
        issues.append(Issue(field=path, code="too_long", message=message))
    else:
        return value
    return ""


def unknown_profile() -> Issue:
    return Issue(field="profile_id", code="unknown_profile", message="This workspace has no profile with this id.")


def _wrong_type(path: str, value: object, expected: str) -> Issue:
    if value is None and path != "body":
        return Issue(field=path, code="required", message=f"{path} is required.")
    got = JSON_NAMES[type(value)] if value != "" else "empty"
    return Issue(field=path, code="invalid_type", message=f"{path} must be {expected}, not {got}.")
