"""Secrets that must not be found, and the search for them in anything.

A secret is looked for as it is and in every form that a renderer, an encoder or a dump gives it, whole or in part: each
form is cut into windows, and one window is a find. The windows are long enough that chance does not produce one.
"""

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

WINDOW = 12

# Of a long form every second or later window is kept, so that three hundred tokens do not take a gigabyte.
_WINDOWS_PER_FORM = 64

_EMPTY_PAGES = re.compile(rb"\0{64,}")


class Needles:
    """The secrets of one run. A part of a secret is found when it is as long as `WINDOW` bytes of one of its forms; of
    a secret longer than 76 characters, when it is longer by the same proportion."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def add(self, name: str, secret: str | bytes) -> None:
        """`name` is how a find is reported; the secret itself never is."""
        for form in set(_forms(secret.encode() if isinstance(secret, str) else secret)):
            assert len(form) >= WINDOW, f"{name} is too short to be recognised"
            last = len(form) - WINDOW
            for start in {*range(0, last, max(1, last // _WINDOWS_PER_FORM)), last}:
                self._names.setdefault(form[start : start + WINDOW], name)

    def found_in(self, haystack: bytes) -> set[str]:
        """The names of the secrets of which a part is there."""
        names, text = self._names, _EMPTY_PAGES.sub(b"\0", haystack)
        return {
            names[part] for start in range(len(text) - WINDOW + 1) if (part := text[start : start + WINDOW]) in names
        }


def _forms(secret: bytes) -> Iterator[bytes]:
    for written in _spellings(secret):
        yield written
        yield written.hex().encode()
        yield written.hex().upper().encode()
        yield from _in_base64(written)
        text = written.decode("latin-1")
        yield text.encode("utf-16-le")
        yield text.encode("utf-16-be")
    yield secret.lower()
    yield secret.upper()


def _spellings(secret: bytes) -> set[bytes]:
    """As text is written: plain, in JSON (once and twice), in a URL, in HTML, by Python's `repr`."""
    plain = {secret, repr(secret)[2:-1].encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()}
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return plain
    in_json = {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    written = {*in_json, *(json.dumps(once)[1:-1] for once in in_json), html.escape(text), repr(text)[1:-1]}
    return plain | {spelling.encode() for spelling in written}


def _in_base64(data: bytes) -> Iterator[bytes]:
    """What base64 makes of it wherever it stands: at each of three offsets, without what its neighbours decide."""
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        padded = bytes(offset) + data
        full = len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded)[first:full]
