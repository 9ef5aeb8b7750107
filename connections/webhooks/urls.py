"""Which addresses may be told of events: https, of one spelling, with nothing in them that only some programs read.

Whether what is behind the name may be reached is decided each time that it is called, `worker.egress`.
"""

import re

MAX_URL = 2048

# RFC 3986 without userinfo and fragment. Names are ASCII: others come as `xn--…` (IDNA). The last label of one begins
# with no digit, or some programs would read `0x7f.1` as an address.
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = rf"(?:{_LABEL}\.)*[A-Za-z_](?:[A-Za-z0-9_-]{{0,61}}[A-Za-z0-9_])?"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PORT = "(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_REST = "(?:[/?](?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"

URL_PATTERN = rf"^https://(?:{_NAME}|{_OCTET}(?:\.{_OCTET}){{3}}){_PORT}{_REST}$"
"""In the words of JSON Schema (ECMA-262)."""

_URL = re.compile(URL_PATTERN)
_LOOPBACK = re.compile(rf"^https?://(?:localhost|127\.0\.0\.1|\[::1\]){_PORT}{_REST}$")


def is_webhook_url(text: str, *, allows_loopback: bool = False) -> bool:
    """`allows_loopback`: also http to this machine, for development."""
    if len(text) > MAX_URL:
        return False
    return bool(_URL.fullmatch(text) or (allows_loopback and _LOOPBACK.fullmatch(text)))
