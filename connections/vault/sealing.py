"""Credentials on their way from the API to a worker: HPKE (RFC 9180, base mode), bound to task and workspace."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from connections.vault.followed import KeySource, held_key
from connections.vault.labels import UnreadableSecret, labelled, split_label
from connections.vault.ring import ShimKeys, WorkerKeys

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class SealedFor:
    """What sealed credentials are bound to: opened for another task or workspace they do not open."""

    task_id: str
    workspace_id: str

    @property
    def info(self) -> bytes:
        return f"connector/credentials/v1|{self.task_id}|{self.workspace_id}".encode()


class Sealer:
    """Seals credentials to the workers' public key and fingerprints requests. Opens nothing."""

    def __init__(self, keys: KeySource[ShimKeys]) -> None:
        self._keys = keys

    def seal(self, credentials: dict[str, str], bound_to: SealedFor) -> bytes:
        """`<key id>.` and the HPKE ciphertext of the credentials as JSON."""
        key = self._keys.latest().sealing
        public = X25519PublicKey.from_public_bytes(key.key)
        return labelled(key.id, SUITE.encrypt(json.dumps(credentials).encode(), public, bound_to.info))

    def fingerprints(self) -> "Fingerprints":
        """Asks for the key once: what follows needs nobody, so it may be used within a transaction."""
        return Fingerprints(self._keys.latest().fingerprint)


class Fingerprints:
    """Tells identical requests without telling what is in them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, *parts: str) -> bytes:
        """32 bytes, keyed (HMAC-SHA-256)."""
        return self.growing(*parts).digest()

    def growing(self, *parts: str) -> hmac.HMAC:
        """One that goes on with the bytes of a body while they arrive: `update` adds some, `digest` gives 32 of it."""
        return hmac.new(self._key, json.dumps(parts).encode(), hashlib.sha256)


@lru_cache(maxsize=8)
def _private_key(key: bytes) -> X25519PrivateKey:
    """Taken from its bytes once, which costs half as much as what is opened with it."""
    return X25519PrivateKey.from_private_bytes(key)


class Opener:
    """Opens what `Sealer` sealed, with any key of the ring."""

    def __init__(self, keys: KeySource[WorkerKeys]) -> None:
        self._keys = keys

    def open(self, sealed: bytes, bound_to: SealedFor) -> dict[str, str]:
        """Raises `KeyNotHeld` for a key that the ring lacks, `UnreadableSecret` for another task's or damaged ones."""
        key_id, ciphertext = split_label(sealed)
        key = held_key(self._keys, lambda ring: ring.sealing, key_id)
        try:
            opened: dict[str, str] = json.loads(SUITE.decrypt(ciphertext, _private_key(key), bound_to.info))
        except (InvalidTag, ValueError):
            raise UnreadableSecret("sealed credentials do not open") from None
        return opened
