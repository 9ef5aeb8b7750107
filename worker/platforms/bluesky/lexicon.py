"""What the AT Protocol's answers say.

The one place that imports the SDK, and only its documents: to import one of its models of answers imports all of
them, half a second and 16 MB in each worker. Of those three answers a few members are read here as the lexicons have
them, and a test compares that with the SDK. Models print tokens, so none leaves here: readers return values of our own,
and raise `Malformed` without the text they could not read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from atproto_core.did_doc import DidDocument  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

RESOLVE_HANDLE = "com.atproto.identity.resolveHandle"
CREATE_SESSION = "com.atproto.server.createSession"
DELETE_SESSION = "com.atproto.server.deleteSession"
DESCRIBE_REPO = "com.atproto.repo.describeRepo"
DESCRIBE_SERVER = "com.atproto.server.describeServer"
REFRESH_SESSION = "com.atproto.server.refreshSession"
GET_REPO_STATUS = "com.atproto.sync.getRepoStatus"

_ERROR_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")

# Visible ASCII, as a header can carry it (RFC 6750 allows less; tokens are opaque to us).
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_REFRESH_TOKEN = re.compile(rb'"refreshJwt"\s*:\s*("(?:[^"\\]|\\.)*+")')


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class SessionAnswer(_Answer):
    """`com.atproto.server.createSession`, and `refreshSession`, which answers the same."""

    did: str
    handle: str
    access_jwt: str = Field(alias="accessJwt", repr=False)
    refresh_jwt: str = Field(alias="refreshJwt", repr=False)
    active: bool | None = None
    status: str | None = None


class HandleAnswer(_Answer):
    """`com.atproto.identity.resolveHandle`."""

    did: str


class RepoStatusAnswer(_Answer):
    """`com.atproto.sync.getRepoStatus`."""

    did: str
    active: bool
    status: str | None = None


class Malformed(Exception):
    """The answer does not have the shape its lexicon promises."""


@dataclass(frozen=True, slots=True)
class Document:
    """The parts of a DID document that say where an account lives (W3C DID Core; AT Protocol DID specification)."""

    id: str
    also_known_as: tuple[str, ...]
    pds_endpoint: str | None


@dataclass(frozen=True, slots=True)
class CreatedSession:
    """Output of `com.atproto.server.createSession` and `refreshSession`, as far as we read it. Never printed.

    `status` says why an account is not active. `document` is what the server says the DID document is, None where it
    says nothing.
    """

    did: str
    handle: str
    is_active: bool
    status: str | None
    document: Document | None
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


def read_document(body: bytes) -> Document:
    return _document(_read(_from_json, body))


def read_session(body: bytes) -> CreatedSession:
    answer = _read(_from_json, body)
    said = answer.pop("didDoc", None) if isinstance(answer, dict) else None
    session = _read(SessionAnswer.model_validate, answer)
    if not (_TOKEN.fullmatch(session.access_jwt) and _TOKEN.fullmatch(session.refresh_jwt)):
        raise Malformed("a token that no header could carry")
    return CreatedSession(
        did=session.did,
        handle=session.handle,
        is_active=session.active is not False,  # optional: older servers leave it out
        status=session.status,
        document=_document_said(said),
        access_token=session.access_jwt,
        refresh_token=session.refresh_jwt,
    )


def find_refresh_token(body: bytes) -> str | None:
    """The refresh token in a session's answer, whatever else is wrong with it, down to not being JSON at all.

    Of several the last, as a JSON parser takes it. None when there is none that a header could carry.
    """
    texts = _REFRESH_TOKEN.findall(body)
    try:
        token = from_json(texts[-1]) if texts else ""
    except ValueError:
        return None
    return token if _TOKEN.fullmatch(token) else None


def read_resolved_handle(body: bytes) -> str:
    return str(_read(HandleAnswer.model_validate, _read(_from_json, body)).did)


def read_repo_status(body: bytes) -> str | None:
    """Why the account is not active (`takendown`, `deactivated`, …); None when it is or nothing is said."""
    answer = _read(RepoStatusAnswer.model_validate, _read(_from_json, body))
    return None if answer.active else answer.status


def read_error_name(body: bytes) -> str | None:
    """The `error` of an XRPC error answer; None when the body is no such thing or the name is not a name."""
    try:
        answer = from_json(body)
    except ValueError:
        return None
    name = answer.get("error") if isinstance(answer, dict) else None
    return name if isinstance(name, str) and _ERROR_NAME.fullmatch(name) else None


def _document(value: object) -> Document:
    document = _read(DidDocument.model_validate, value)
    return Document(document.id, tuple(document.also_known_as or ()), document.get_pds_endpoint())


def _document_said(value: object) -> Document | None:
    """An unreadable document contradicts nothing. Nobody follows it, so it is no reason to turn an owner away."""
    try:
        return _document(value)
    except Malformed:
        return None


def _from_json(body: bytes) -> Any:
    """RFC 8259, so no NaN. Raises ValueError, for what is nested 200 deep or has a number of 4,300 digits too."""
    return from_json(body, allow_inf_nan=False)


def _read(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except ValueError as exc:
        # Its text quotes the answer, tokens included: keep it out of the chain too.
        raise Malformed(exc.__class__.__name__) from None
