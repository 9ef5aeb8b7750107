"""From the bytes of a request for a link to a command, or to one issue for every field that is wrong."""

import re
from dataclasses import dataclass

from connections.contract import EMAIL_PATTERN, EXTERNAL_USER_ID_PATTERN, Issue
from connections.intake import parse_object, read_platform, read_profile_id, refused, wrong_type
from connections.return_urls import MAX_LENGTH as MAX_RETURN_URL

MAX_EXTERNAL_USER_ID = 255
MAX_EXTERNAL_USER_EMAIL = 320

_VISIBLE = re.compile(EXTERNAL_USER_ID_PATTERN, re.DOTALL)
# Whoever sent it knows it to be theirs; this only tells it from what is none.
_EMAIL = re.compile(EMAIL_PATTERN)


@dataclass(frozen=True, slots=True)
class SessionCommand:
    """A request for a link that is well-formed. Whether `return_url` is allowed is for the workspace to say."""

    platform: str
    external_user_id: str
    external_user_email: str | None = None
    return_url: str | None = None
    profile_id: str | None = None
    allow_quickstart_creds: bool = False


def parse_session(body: bytes) -> SessionCommand:
    """Raises `ValidationFailed` with one issue per field."""
    request = parse_object(body)
    issues: list[Issue] = []
    command = SessionCommand(
        platform=read_platform(request.get("platform"), issues),
        external_user_id=_user_id(request.get("external_user_id"), issues),
        external_user_email=_email(request.get("external_user_email"), issues),
        return_url=_text("return_url", request.get("return_url"), MAX_RETURN_URL, issues),
        profile_id=read_profile_id(request.get("profile_id"), issues),
        allow_quickstart_creds=_flag(request.get("allow_quickstart_creds"), issues),
    )
    if issues:
        raise refused(issues)
    return command


def _user_id(value: object, issues: list[Issue]) -> str:
    field = "external_user_id"
    text = _text(field, value, MAX_EXTERNAL_USER_ID, issues)
    if value is None or (text is not None and not _VISIBLE.fullmatch(text)):
        issues.append(Issue(field=field, code="required", message=f"{field} is required."))
    return text or ""


def _email(value: object, issues: list[Issue]) -> str | None:
    text = _text("external_user_email", value, MAX_EXTERNAL_USER_EMAIL, issues)
    if text is not None and not _EMAIL.fullmatch(text):
        message = "external_user_email is not an e-mail address."
        issues.append(Issue(field="external_user_email", code="invalid_email", message=message))
    return text


def _text(field: str, value: object, max_length: int, issues: list[Issue]) -> str | None:
    """Any text, but for NUL, which Postgres cannot store; None where there is none or it is wrong."""
    if value is None:
        return None
    if not isinstance(value, str):
        issues.append(wrong_type(field, value, "a string"))
    elif len(value) > max_length:
        message = f"{field} is longer than {max_length} characters."
        issues.append(Issue(field=field, code="too_long", message=message))
    elif "\0" in value:
        issues.append(Issue(field=field, code="invalid_characters", message=f"{field} holds a NUL."))
    else:
        return value
    return None


def _flag(value: object, issues: list[Issue]) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    issues.append(wrong_type("allow_quickstart_creds", value, "a boolean"))
    return False
