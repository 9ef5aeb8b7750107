"""From the bytes of a request to what is to be changed, or to one issue for every field that is wrong.

A member that is absent changes nothing. One that may be empty is emptied by null, and by an empty text, because the
official SDKs cannot send null.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypedDict, cast

from connections.contract import Issue
from connections.intake import parse_object, refused, wrong_type
from connections.return_urls import parse_return_url_prefix
from connections.urls import is_https_url

MAX_NAME = 200
MAX_LOGO_URL = 2048
MAX_RETURN_URLS = 50
MAX_MONTHLY_LIMIT = 2**31 - 1

COLOR = re.compile("#[0-9A-Fa-f]{6}")
# Databases refuse some of them, and nobody can see any.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class ProfileFields(TypedDict, total=False):
    """What a profile's holder can set."""

    name: str
    branding_logo_url: str | None
    branding_display_name: str | None
    branding_primary_color: str | None


class WorkspaceFields(TypedDict, total=False):
    """What a workspace's holder can set. `return_urls` are in the form of `parse_return_url_prefix`."""

    name: str
    per_account_monthly_limit: int | None
    return_urls: list[str]


Read = Callable[[str, Any, list[Issue]], Any]
"""From the path of a member and its value to what is stored, or to one more issue."""


def parse_new_profile(body: bytes) -> ProfileFields:
    """Raises `ValidationFailed` with one issue per field, as the functions below do."""
    return cast(ProfileFields, _parse({"name": None} | parse_object(body), _PROFILE))


def parse_profile_change(body: bytes) -> ProfileFields:
    return cast(ProfileFields, _parse(parse_object(body), _PROFILE))


def parse_workspace_change(body: bytes, *, allows_loopback: bool) -> WorkspaceFields:
    """`allows_loopback` lets return URLs lead to the caller's own machine, without https."""
    return_urls = partial(_return_urls, allows_loopback=allows_loopback)
    return cast(WorkspaceFields, _parse(parse_object(body), _WORKSPACE | {"return_urls": return_urls}))


def _parse(sent: Mapping[str, Any], readers: Mapping[str, Read]) -> dict[str, Any]:
    issues: list[Issue] = []
    values = {name: read(name, sent[name], issues) for name, read in readers.items() if name in sent}
    if issues:
        raise refused(issues)
    return values


def _name(path: str, value: Any, issues: list[Issue]) -> str:
    if not isinstance(value, str):
        issues.append(wrong_type(path, value, "a string"))
    elif not value.strip():
        issues.append(Issue(field=path, code="required", message=f"{path} is required."))
    elif len(value) > MAX_NAME:
        issues.append(_too_long(path, MAX_NAME))
    elif _CONTROL.search(value):
        message = f"{path} must have no control characters."
        issues.append(Issue(field=path, code="invalid_characters", message=message))
    else:
        return value.strip()
    return ""


def _logo_url(path: str, value: Any, issues: list[Issue]) -> str:
    if not isinstance(value, str):
        issues.append(wrong_type(path, value, "a string"))
    elif len(value) > MAX_LOGO_URL:
        issues.append(_too_long(path, MAX_LOGO_URL))
    elif not is_https_url(value):
        message = f"{path} must be an https:// URL, without user or fragment."
        issues.append(Issue(field=path, code="invalid_url", message=message))
    else:
        return value
    return ""


def _color(path: str, value: Any, issues: list[Issue]) -> str:
    if not isinstance(value, str):
        issues.append(wrong_type(path, value, "a string"))
    elif not COLOR.fullmatch(value):
        issues.append(Issue(field=path, code="invalid_color", message=f"{path} must look like #0a7cff."))
    else:
        return value
    return ""


def _monthly_limit(path: str, value: Any, issues: list[Issue]) -> int:
    # A number that JSON wrote as 5.0 is a whole one, too.
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        issues.append(wrong_type(path, value, "a whole number"))
    elif not 0 <= value <= MAX_MONTHLY_LIMIT:
        message = f"{path} must be between 0 and {MAX_MONTHLY_LIMIT}."
        issues.append(Issue(field=path, code="out_of_range", message=message))
    else:
        return int(value)
    return 0


def _return_urls(path: str, value: Any, issues: list[Issue], *, allows_loopback: bool) -> list[str]:
    if not isinstance(value, list):
        issues.append(wrong_type(path, value, "an array"))
        return []
    if len(value) > MAX_RETURN_URLS:
        message = f"{path} has more than {MAX_RETURN_URLS} entries."
        issues.append(Issue(field=path, code="too_many", message=message))
        return []
    prefixes: dict[str, None] = {}
    for number, one in enumerate(value):
        where = f"{path}.{number}"
        if not isinstance(one, str):
            issues.append(wrong_type(where, one, "a string"))
            continue
        try:
            prefixes[parse_return_url_prefix(one, allows_loopback=allows_loopback)] = None
        except ValueError as error:
            issues.append(Issue(field=where, code="invalid_url", message=f"{where} {error}."))
    return list(prefixes)


def _or_none(read: Read, *, is_text: bool = True) -> Read:
    def read_if_any(path: str, value: Any, issues: list[Issue]) -> Any:
        return None if value is None or (is_text and value == "") else read(path, value, issues)

    return read_if_any


def _too_long(path: str, most: int) -> Issue:
    return Issue(field=path, code="too_long", message=f"{path} is longer than {most} characters.")


_PROFILE: Mapping[str, Read] = {
    "name": _name,
    "branding_logo_url": _or_none(_logo_url),
    "branding_display_name": _or_none(_name),
    "branding_primary_color": _or_none(_color),
}
_WORKSPACE: dict[str, Read] = {"name": _name, "per_account_monthly_limit": _or_none(_monthly_limit, is_text=False)}
