"""From what people paste to a handle or a DID.

Syntax follows the AT Protocol specifications (Handle, DID); what is forgiven beyond them is what a human reader would
not notice: blanks, an @ in front, quotes around, a dot or slash behind, upper case, a link instead of a name, invisible
marks that the official app copies along.
"""

import re
import unicodedata
from urllib.parse import unquote

from connections.bluesky.app_password import USUAL_SHAPE
from connections.bluesky.invisible import without_invisible
from connections.errors import InvalidHandle


class Handle(str):
    """A valid handle in lower case: a domain name of two labels or more."""

    __slots__ = ()


class Did(str):
    """A valid DID of a method we can look up: `did:plc:…` or `did:web:…`."""

    __slots__ = ()


MAX_HANDLE = 253
MAX_PASTED = 2048

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?"
_HANDLE = re.compile(_DOMAIN)
_BARE_NAME = re.compile(_LABEL)
_DID_PLC = re.compile(r"did:plc:[a-z2-7]{24}")
_DID_WEB = re.compile(rf"did:web:(?P<host>{_DOMAIN})")

RESERVED_DOMAINS = frozenset({"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"})
TEST_DOMAIN = "test"

_QUOTES = "\"'`\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a"

_LINK = re.ASCII | re.IGNORECASE | re.DOTALL
_PROFILE_LINK = re.compile(r"(https?://)?(www\.)?bsky\.app/profile/(?P<name>[^/?#]*).*", _LINK)
_AT_URI = re.compile(r"at://(?P<name>[^/?#]*).*", _LINK)

_EXAMPLE = "A handle looks like alice.bsky.social."


def parse_identifier(pasted: str, *, hosted_domain: str, allows_test: bool) -> Handle | Did:
    """Reads a handle or DID. A name without a dot belongs to `hosted_domain`; `.test` needs `allows_test`.

    Raises `InvalidHandle` with a message that repeats nothing of the input but, where a look-alike character is the
    trouble, that one: a password can land in the wrong field.
    """
    if is_handle(pasted):  # most are: there is nothing to forgive
        return _checked_handle(pasted, allows_test=allows_test)
    if len(pasted) > MAX_PASTED:
        raise InvalidHandle("This is too long for a handle.")
    name = _bare(_name_in(_bare(pasted))).lstrip("@")
    if not name:
        raise InvalidHandle(f"The handle is empty. {_EXAMPLE}")
    if not name.isascii():
        raise InvalidHandle(_describe_foreign(name), hint="Type the handle by hand, or send its xn-- form.")
    name = name.lower()
    if name.startswith("did:"):
        return parse_did(name)
    # A path that is empty, and the root's dot of a full domain name (RFC 1034, 3.1) or of a sentence that ends.
    name = name.removesuffix("/").removesuffix(".")
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


def _bare(text: str) -> str:
    return without_invisible(text).strip().strip(_QUOTES).strip()


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
    """Names the first character that no handle has, by sight, code point and position.

    No more of the input than that: whatever else there is may be a password in the wrong field.
    """
    position, culprit = next((at, character) for at, character in enumerate(name, 1) if not character.isascii())
    code_point = f"U+{ord(culprit):04X} {unicodedata.name(culprit, 'an unnamed character')}"
    # A mark that combines would dress up the letter before it.
    seen = f"{culprit} ({code_point})" if culprit.isprintable() and not _combines(culprit) else code_point
    return (
        f"Handles have only the letters a to z, digits, dots and hyphens; this contains {seen} at position {position}."
    )


def _combines(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
