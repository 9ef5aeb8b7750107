"""DID to document, and what a document must say before we believe it. (AT Protocol, DID and Handle.)"""

import re
import time
from collections.abc import Callable

from connections.bluesky.identifier import Did, Handle, is_handle, web_host
from connections.errors import HandleMismatch, IdentityUnusable
from connections.settings import Settings
from worker.circuit import Circuits
from worker.egress import Egress, Policy
from worker.platforms.bluesky import xrpc
from worker.platforms.bluesky.errors import DID_DOCUMENT, from_answer, unreachable
from worker.platforms.bluesky.lexicon import Document, Malformed, read_document
from worker.ttl_cache import ANY_TIME, TtlCache

# Seconds. Short: long enough for the next try of the same attempt, too short for a password to follow an account that
# has moved to where it no longer is.
FOUND_SECONDS = 60.0
NOT_FOUND_SECONDS = 60.0
CACHED_DOCUMENTS = 2_000

DID_WEB = Policy(redirects=2, max_body=64 * 1024)

# What traces call these requests: a DID is in none of them.
_AT_ITS_HOST = "{did}/.well-known/did.json"
_IN_A_DIRECTORY = "/{did}"

# Scheme, host and optional port, nothing more; the slash that URL printers add means the same.
_ENDPOINT = re.compile(r"(?P<origin>https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)/?", re.ASCII | re.IGNORECASE)


# Longer than any that could be used, so that a DID which is cut off here does not become one.
_LONGEST_DID = 512
_LONGEST_ENDPOINT = 512


class Documents:
    """Fetches DID documents. Used by many threads at once."""

    def __init__(
        self, egress: Egress, settings: Settings, circuits: Circuits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._egress = egress
        self._circuits = circuits
        # A local directory knows local accounts; all others are as real as ever.
        self._directories = [url for url in (settings.dev_plc_url, settings.plc_url) if url]
        self._known: TtlCache[Did, Document | None] = TtlCache(CACHED_DOCUMENTS, clock)

    def fetch(self, did: Did, *, deadline: float, since: float = ANY_TIME) -> Document:
        """The document of `did`, found not before `since`.

        Raises `IdentityUnusable` when it has none, is unreadable or is another's; `HostNotAllowed` (did:web);
        `TemporaryFailure` when nobody answers.
        """
        remembered = self._known.get(did, since)
        document = remembered.value if remembered else self._look_up(did, deadline)
        if remembered is None:
            self._known.put(did, document, FOUND_SECONDS if document else NOT_FOUND_SECONDS)
        if document is None:
            raise IdentityUnusable("This account's identity was deleted or never existed.")
        if document.id != did:
            raise IdentityUnusable("The account's identity document belongs to another identity.")
        return document

    def _look_up(self, did: Did, deadline: float) -> Document | None:
        host = web_host(did)
        if host:
            try:
                return self._ask(f"https://{host}/.well-known/did.json", DID_WEB, deadline, _AT_ITS_HOST)
            except Malformed as exc:
                raise IdentityUnusable("The account's identity document cannot be read.") from exc
        return self._ask_directories(did, deadline)

    def _ask_directories(self, did: Did, deadline: float) -> Document | None:
        for directory in self._directories:
            with self._circuits.watch(directory, did, deadline=deadline):
                try:
                    document = self._ask(f"{directory}/{did}", xrpc.OPERATORS, deadline, _IN_A_DIRECTORY)
                except Malformed as exc:
                    raise unreachable() from exc
            if document is not None:
                return document
        return None

    def _ask(self, url: str, policy: Policy, deadline: float, template: str) -> Document | None:
        answer = xrpc.fetch(self._egress, url, policy, deadline=deadline, template=template)
        if answer.status == 200:
            return _essence(read_document(answer.body))
        error = from_answer(DID_DOCUMENT, answer)
        if isinstance(error, IdentityUnusable):
            return None
        raise error


def _essence(document: Document) -> Document:
    """What is needed of a document, and kept: a stranger's may be as long as an answer can be."""
    handle = claimed_handle(document)
    return Document(
        id=document.id[:_LONGEST_DID],
        also_known_as=(f"at://{handle}",) if handle else (),
        pds_endpoint=origin_in(document),
    )


def claimed_handle(document: Document) -> Handle | None:
    """The first valid handle in `alsoKnownAs`. A claim: true only if the handle points back."""
    claims = (claim.removeprefix("at://") for claim in document.also_known_as if claim.startswith("at://"))
    # ASCII first: lower case makes a plain k of the Kelvin sign.
    return next((Handle(name.lower()) for name in claims if name.isascii() and is_handle(name.lower())), None)


def check_claim(document: Document, handle: Handle) -> None:
    """Raises `HandleMismatch` unless the document claims `handle`: whoever owns a domain can point it at anyone."""
    if claimed_handle(document) != handle:
        raise HandleMismatch


def pds_origin(document: Document) -> str:
    """The origin of the account's PDS. Raises `IdentityUnusable` when the document names none we could call."""
    origin = origin_in(document)
    if origin is None:
        raise IdentityUnusable("The account's identity document names no usable server.")
    return origin


def origin_in(document: Document) -> str | None:
    """Scheme, host and port of the endpoint in lower case; None when there is none or it has another shape.

    The endpoint is whatever its owner wrote: shape is checked here, the address when the connection is made.
    """
    text = document.pds_endpoint or ""
    endpoint = _ENDPOINT.fullmatch(text) if len(text) <= _LONGEST_ENDPOINT else None
    return endpoint["origin"].lower() if endpoint else None
