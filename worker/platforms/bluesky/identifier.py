"""From what people paste to a handle or a DID.

Syntax follows the AT Protocol specifications (Handle, DID); what is forgiven beyond them is what a human reader would
not notice: blanks, an @ in front, upper case, a link instead of a name, invisible marks that the official app copies
along.
"""

import re
import unicodedata
from urllib.parse import unquote

from connections.errors import InvalidHandle
from worker.platforms.bluesky.app_password import USUAL_SHAPE


class Handle(str):
    """A valid handle in lower case: a domain name of two labels or more."""

    __slots__ = ()


class Did(str):
    """A valid DID of a method we can look up: `did:plc:…` or `did:web:…`."""

    __slots__ = ()


MAX_HANDLE = 253
MAX_PASTED = 2048
MAX_SHOWN = 40

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?"
_HANDLE = re.compile(_DOMAIN)
_BARE_NAME = re.compile(_LABEL)
_DID_PLC = re.compile(r"did:plc:[a-z2-7]{24}")
_DID_WEB = re.compile(rf"did:web:(?P<host>{_DOMAIN})")

RESERVED_DOMAINS = frozenset({"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"})
TEST_DOMAIN = "test"

# Direction marks, zero-width characters and the byte order mark. They change nothing that a reader sees.
_INVISIBLE = dict.fromkeys(
    [*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0x200B, 0x2010), 0x061C, 0x2060, 0xFEFF]
)

_LINK = re.ASCII | re.IGNORECASE | re.DOTALL
_PROFILE_LINK = re.compile(r"(https?://)?(www\.)?bsky\.app/profile/(?P<name>[^/?#]*).*", _LINK)
_AT_URI = re.compile(r"at://(?P<name>[^/?#]*).*", _LINK)

_EXAMPLE = "A handle looks like alice.bsky.social."


def parse_identifier(pasted: str, *, hosted_domain: str, allows_test: bool) -> Handle | Did:
    """Reads a handle or DID. A name without a dot belongs to `hosted_domain`; `.test` needs `allows_test`.

    Raises `InvalidHandle` with a message that repeats nothing of the input but, where a look-alike character is the
    trouble, a short escaped piece: a password can land in the wrong field.
    """
    if len(pasted) > MAX_PASTED:
        raise InvalidHandle("This is too long for a handle.")
    name = _name_in(pasted.translate(_INVISIBLE).strip()).removeprefix("@")
    if not name:
        raise InvalidHandle(f"The handle is empty. {_EXAMPLE}")
    if not name.isascii():
        raise InvalidHandle(_describe_foreign(name), hint="Type the handle by hand, or send its xn-- form.")
    name = name.lower()
    if name.startswith("did:"):
        return parse_did(name)
    if "@" in name:
        raise InvalidHandle("This is an e-mail address, not a handle.", hint=_EXAMPLE)
    if USUAL_SHAPE.fullmatch(name):
        raise InvalidHandle("This is an app password, not a handle.", hint=_EXAMPLE)
    if _BARE_NAME.fullmatch(name):
        name = f"{name}.{hosted_domain}"
    return _checked_handle(name, allows_test=allows_test)


def is_handle(text: str) -> bool:
    """Whether `text` is a handle in its normal form, reserved domains included."""
    return len(text) <= MAX_HANDLE and _HANDLE.fullmatch(text) is not None


def parse_did(text: str) -> Did:
    """Raises `InvalidHandle` when `text` is not a DID of a method we can look up."""
    web = _DID_WEB.fullmatch(text)
    if _DID_PLC.fullmatch(text) or (web and is_handle(web["host"]) and _domain_of(web["host"]) not in RESERVED_DOMAINS):
        return Did(text)
    raise InvalidHandle("This DID is not a valid did:plc or did:web.")


def web_host(did: Did) -> str | None:
    """The host that publishes a did:web's document; None for other methods."""
    match = _DID_WEB.fullmatch(did)
    return match["host"] if match else None


def _name_in(text: str) -> str:
    for link in (_PROFILE_LINK, _AT_URI):
        match = link.fullmatch(text)
        if match:
            return unquote(match["name"])
    return text


def _checked_handle(name: str, *, allows_test: bool) -> Handle:
    if not is_handle(name):
        raise InvalidHandle
    domain = _domain_of(name)
    if domain in RESERVED_DOMAINS or (domain == TEST_DOMAIN and not allows_test):
        raise InvalidHandle(
            f"Handles under .{domain} do not exist.",
            hint="If your profile shows handle.invalid, send the account's DID instead.",
        )
    return Handle(name)


def _domain_of(name: str) -> str:
    return name.rpartition(".")[2]


def _describe_foreign(name: str) -> str:
    """`"\\uff41lice.bsky.social" contains U+FF41 FULLWIDTH LATIN SMALL LETTER A.`

    Only what would be a handle with other letters is shown: anything else may be a password in the wrong field.
    """
    culprit = next(character for character in name if not character.isascii())
    label = unicodedata.name(culprit, "an unnamed character")
    seen = f"U+{ord(culprit):04X} {label}"
    if not is_handle("".join(character if character.isascii() else "a" for character in name).lower()):
        return f"Handles have only the letters a to z, digits and hyphens; this contains {seen}."
    shown = name[:MAX_SHOWN].encode("unicode_escape").decode("ascii")[:MAX_SHOWN]
    return f'Handles have only the letters a to z, digits and hyphens; "{shown}" contains {seen}.'
