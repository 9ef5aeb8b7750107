"""The last line before a secret reaches a log.

The first line is not to log secrets at all: they are sealed, kept out of `repr`, errors and messages. What still slips
into an event, say inside a foreign library's exception, is recognised here by the name it goes under or by its shape.
"""

import re
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

_LONGEST = 16_000
# A secret that the cut would go through is still seen whole, so that no half of it is left.
_BEYOND_THE_CUT = 1_024

_NAMES = r"(?:pass(?:word|wd|phrase)|secret|token|jwt|authorization|cookie|credential|api_?key|private_?key)"
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)

# A UUID is let through first, or the middle of it would be taken for an app password.
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_APP_PASSWORD = r"[a-z0-9]{4}(?:-[a-z0-9]{4}){3,}"  # noqa: S105  a shape, not a password
# Bounded where a match can begin and fail at every character, so that a long text cannot hold up its process.
_JWT = r"eyJ[\w-]{0,512}(?:\.[\w-]*)+"
_API_KEY = r"up_(?:live|test)_[\w-]+"
# `postgresql://user:secret@host`; whoever forgot to encode it may have a slash or another @ in it.
_USER_INFO = r"(?<=://)[^\s/:@]*:[^\s\"'<>]{1,512}(?=@)"
# `'password': 'secret'`, as dictionaries and JSON print, also within another string; a bare `password = …` is a source
# line of a traceback.
_QUOTED = r"""b?(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\\"(?:.*?)(?<!\\)\\"|\\'(?:.*?)(?<!\\)\\')"""
_NAMED = rf"(?P<name>{_NAMES}\w{{0,40}}\\?[\"']?\s*[:=]\s*){_QUOTED}"
# `?password=secret`, and a header as it is sent.
_IN_A_QUERY = rf"(?P<parameter>[?&]\w{{0,40}}{_NAMES}\w{{0,40}}=)[^&\s\"']+"
_HEADER = r"(?P<header>\b(?:authorization|cookie):[ \t]*)[^\s\"'][^\r\n\"']*"

_SECRETS = re.compile(
    "|".join([rf"(?P<uuid>{_UUID})", _NAMED, _IN_A_QUERY, _HEADER, _USER_INFO, _JWT, _API_KEY, _APP_PASSWORD]),
    re.IGNORECASE | re.DOTALL,
)


# What every one of those shapes has in it. Most of what is logged has not, and is let through at a tenth of the cost.
_SUSPICIOUS = re.compile(r"[-:=]|eyj|up_", re.IGNORECASE)


def redact_text(text: str) -> str:
    """The text, cut to 16,000 characters, with everything that has a secret's shape replaced."""
    if len(text) <= _LONGEST and not _SUSPICIOUS.search(text):
        return text
    seen = text[: _LONGEST + _BEYOND_THE_CUT]
    kept, end = [], 0
    for match in _SECRETS.finditer(seen):
        if match.start() >= _LONGEST:
            break
        kept += [seen[end : match.start()], _replacement(match)]
        end = match.end()
    kept.append(seen[end : max(end, _LONGEST)])
    return "".join(kept) + (" [cut]" if len(text) > _LONGEST else "")


_PLAIN = (str, int, float)


def redact(value: object, name: str = "") -> Any:
    """A copy made of plain values only, without what goes under a secret's name or has a secret's shape.

    Anything that is not a plain value becomes its redacted `str`, so no renderer calls a `repr` after this.
    """
    if value is None or isinstance(value, bool):
        return value
    if name and _is_secret(name):
        return REDACTED
    if isinstance(value, _PLAIN):  # most are
        return redact_text(str(value)) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {_redact_name(str(key)): redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | Set):
        return [redact(item) for item in value]
    return redact_text(str(value))


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


@lru_cache(maxsize=1024)
def _redact_name(name: str) -> str:
    return redact_text(name)


def _replacement(match: re.Match[str]) -> str:
    return match["uuid"] or (match["name"] or match["parameter"] or match["header"] or "") + REDACTED
