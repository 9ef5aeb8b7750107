"""A session on its way from a worker to the one request that asked for it: HPKE, the way credentials go, turned round.

The key is made for the request and kept in the memory of the process that asks, so that nobody else opens what is
stored for it, later ones included.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from connections.vault.labels import UnreadableSecret
from connections.vault.sealing import SUITE


@dataclass(frozen=True, slots=True)
class AnswerTo:
    """What a sealed session is bound to: as the answer to another request it does not open."""

    request_id: str
    workspace_id: str

    @property
    def info(self) -> bytes:
        return f"connector/session/v1|{self.request_id}|{self.workspace_id}".encode()


class EphemeralKey:
    """For one request. Never printed and never stored."""

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = X25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        """32 bytes, for whoever seals."""
        return self._key.public_key().public_bytes_raw()

    def open(self, sealed: bytes, bound_to: AnswerTo) -> bytes:
        """Raises `UnreadableSecret` for another request's or a damaged one."""
        try:
            return SUITE.decrypt(sealed, self._key, bound_to.info)
        except (InvalidTag, ValueError):
            raise UnreadableSecret("a sealed session does not open") from None


def seal_for(public: bytes, content: bytes, bound_to: AnswerTo) -> bytes:
    """The HPKE ciphertext. `public` is an `EphemeralKey`'s."""
    return SUITE.encrypt(content, X25519PublicKey.from_public_bytes(public), bound_to.info)
