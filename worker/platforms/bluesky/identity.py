"""Who is this and where do they live: an identity proved in both directions."""

from dataclasses import dataclass

from connections.bluesky.identifier import Did, Handle
from connections.errors import OutOfBudget, PlatformError
from worker.platforms.bluesky.documents import Documents, check_claim, claimed_handle, pds_origin
from worker.platforms.bluesky.handles import Handles
from worker.platforms.bluesky.lexicon import Document
from worker.ttl_cache import ANY_TIME


@dataclass(frozen=True, slots=True)
class Identity:
    """`handle` is None when the DID was given and the handle its document claims does not point back to it.

    `pds` is an origin such as `https://host` or `https://host:port`.
    """

    did: Did
    handle: Handle | None
    pds: str


class Identities:
    """Resolves identifiers. Used by many threads at once."""

    def __init__(self, handles: Handles, documents: Documents) -> None:
        self._handles = handles
        self._documents = documents

    def resolve(self, identifier: Handle | Did, *, deadline: float, since: float = ANY_TIME) -> Identity:
        """Nothing that was found before `since`, a `time.monotonic()` instant, is believed.

        Raises the `InvalidIdentity` that fits, or `TemporaryFailure`.
        """
        if isinstance(identifier, Handle):
            did = self._handles.resolve(identifier, deadline=deadline, since=since)
            document = self._documents.fetch(did, deadline=deadline, since=since)
            check_claim(document, identifier)
            return Identity(did, identifier, pds_origin(document))
        document = self._documents.fetch(identifier, deadline=deadline, since=since)
        return Identity(identifier, self._proved_handle(document, deadline, since), pds_origin(document))

    def _proved_handle(self, document: Document, deadline: float, since: float) -> Handle | None:
        """The claimed handle, if it points back. A name is decoration here: not finding out fails nothing."""
        handle = claimed_handle(document)
        if handle is None:
            return None
        try:
            return handle if self._handles.resolve(handle, deadline=deadline, since=since) == document.id else None
        except OutOfBudget:
            raise  # nobody was asked: it can be found out a little later
        except PlatformError:
            return None
