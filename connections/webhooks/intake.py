"""From the bytes of a request to a command about a webhook, or to one issue for every field that is wrong."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connections.contract import Issue
from connections.events import EVERY_EVENT, EventType
from connections.intake import parse_object, refused, wrong_type
from connections.webhooks.secrets import MAX_SECRET, MIN_SECRET, is_secret
from connections.webhooks.urls import MAX_URL, is_webhook_url

MAX_NAME = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NAME_PATTERN = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f\x85][^\x00-\x1f\x7f]*$"
"""What is left after that, and not only blanks, in the words of JSON Schema (ECMA-262)."""

KNOWN_EVENTS = (*(event.value for event in EventType), EVERY_EVENT)
# What is repeated of a list that somebody sent.
_MAX_NAMED, _MAX_NAMED_LENGTH = 5, 60


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook that is to be made. Without a `secret` one is made for it."""

    name: str
    url: str
    events: tuple[str, ...]
    active: bool
    secret: str | None = field(repr=False)


def parse_new(body: bytes, *, allows_loopback: bool) -> NewWebhook:
    """Raises `ValidationFailed` with one issue per field. `allows_loopback`: also http to this machine."""
    request = {"active": True, "secret": None, **parse_object(body)}
    if request["active"] is None:
        request["active"] = True
    values = _read(request, ("name", "url", "events", "active", "secret"), allows_loopback)
    return NewWebhook(**values)


def parse_change(body: bytes, *, allows_loopback: bool) -> dict[str, Any]:
    """The columns that are to be changed, with their new values; those of fields that were not sent are not there.

    Raises `ValidationFailed` with one issue per field.
    """
    request = parse_object(body)
    return _read(request, [name for name in ("name", "url", "events", "active") if name in request], allows_loopback)


def _read(request: Mapping[str, object], names: Any, allows_loopback: bool) -> dict[str, Any]:
    issues: list[Issue] = []
    values = {name: _READERS[name](request.get(name), issues) for name in names}
    if values.get("url") and not is_webhook_url(values["url"], allows_loopback=allows_loopback):
        issues.append(Issue(field="url", code="invalid_url", message=_URL_RULE))
    if issues:
        raise refused(issues)
    return values


_URL_RULE = (
    f"url must be an https address of at most {MAX_URL} characters, without user and password and without a fragment."
)


def _text(name: str, max_length: int) -> Callable[[object, list[Issue]], str]:
    def read(value: object, issues: list[Issue]) -> str:
        if not isinstance(value, str):
            issues.append(wrong_type(name, value, "a string"))
        elif not value.strip():
            issues.append(Issue(field=name, code="required", message=f"{name} is required."))
        elif len(value) > max_length:
            message = f"{name} is longer than {max_length} characters."
            issues.append(Issue(field=name, code="too_long", message=message))
        elif _CONTROL.search(value):
            message = f"{name} has control characters."
            issues.append(Issue(field=name, code="invalid_characters", message=message))
        else:
            return value
        return ""

    return read


def _events(value: object, issues: list[Issue]) -> tuple[str, ...]:
    """In the order in which they were sent, each once."""
    if not isinstance(value, list):
        issues.append(wrong_type("events", value, "an array"))
        return ()
    if not value:
        issues.append(Issue(field="events", code="required", message=f"events is empty. {_EVENTS_RULE}"))
    if not all(isinstance(one, str) for one in value):
        issues.append(Issue(field="events", code="invalid_type", message="events must be an array of strings."))
        return ()
    wanted = tuple(dict.fromkeys(value))
    if unknown := [one for one in wanted if one not in KNOWN_EVENTS]:
        named = ", ".join(one[:_MAX_NAMED_LENGTH] for one in unknown[:_MAX_NAMED])
        message = f"There is no event {named}. {_EVENTS_RULE}"
        issues.append(Issue(field="events", code="unknown_event", message=message))
    return wanted


_EVENTS_RULE = f"Supported: {', '.join(KNOWN_EVENTS)}."


def _active(value: object, issues: list[Issue]) -> bool:
    if not isinstance(value, bool):
        issues.append(wrong_type("active", value, "a boolean"))
        return False
    return value


def _secret(value: object, issues: list[Issue]) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        issues.append(wrong_type("secret", value, "a string"))
    elif not is_secret(value):
        message = f"secret must have {MIN_SECRET} to {MAX_SECRET} visible ASCII characters."
        issues.append(Issue(field="secret", code="invalid_secret", message=message))
    else:
        return value
    return None


_READERS: dict[str, Callable[[object, list[Issue]], Any]] = {
    "name": _text("name", MAX_NAME),
    "url": _text("url", MAX_URL),
    "events": _events,
    "active": _active,
    "secret": _secret,
}
