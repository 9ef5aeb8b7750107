"""Tokens at rest: AES-256-GCM with a random nonce, bound to account and column."""

import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connections.vault.followed import KeySource, held_key
from connections.vault.labels import UnreadableSecret, labelled, split_label
from connections.vault.ring import Key, WorkerKeys
from connections.verified import Session

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """The one column of the one row that an encrypted token belongs to."""

    account_id: str
    column: str

    @property
    def associated_data(self) -> bytes:
        return f"connector/tokens/v1|{self.account_id}|{self.column}".encode()


@dataclass(frozen=True, slots=True)
class EncryptedSession:
    """The token columns of one account: both tokens under one key, and that key's id beside them."""

    token_key: str
    access_token: bytes = field(repr=False)
    refresh_token: bytes = field(repr=False)


class TokenCipher:
    """A token copied to another row or column does not decrypt."""

    def __init__(self, keys: KeySource[WorkerKeys]) -> None:
        self._keys = keys

    def encrypt(self, token: str, cell: Cell) -> bytes:
        """`<key id>.`, 12 bytes of nonce, ciphertext and tag."""
        return _encrypted(self._keys.latest().tokens[0], token, cell)

    def encrypt_session(self, account_id: str, session: Session) -> EncryptedSession:
        """Both tokens under one key, also when the ring is replaced in between."""
        key = self._keys.latest().tokens[0]
        return EncryptedSession(
            token_key=key.id,
            access_token=_encrypted(key, session.access_token, Cell(account_id, "access_token")),
            refresh_token=_encrypted(key, session.refresh_token, Cell(account_id, "refresh_token")),
        )

    def decrypt(self, stored: bytes, cell: Cell) -> str:
        """Raises `KeyNotHeld` for a key that the ring lacks, `UnreadableSecret` for another cell's token or damage."""
        key_id, rest = split_label(stored)
        cipher = AESGCM(held_key(self._keys, lambda ring: ring.tokens, key_id))
        try:
            plaintext = cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], cell.associated_data)
        except (InvalidTag, ValueError):
            raise UnreadableSecret("a stored token does not decrypt") from None
        return plaintext.decode()


def _encrypted(key: Key, token: str, cell: Cell) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return labelled(key.id, nonce + AESGCM(key.key).encrypt(nonce, token.encode(), cell.associated_data))
