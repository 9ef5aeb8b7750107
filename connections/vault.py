"""Keeps secrets: seals credentials on their way to the workers, encrypts tokens at rest, fingerprints requests.

The key ring is a JSON file. Workers hold the ring (`keys.json`); the API holds an excerpt (`keys.shim.json`) that can
seal and fingerprint but opens nothing.

    {"environment": "development" | "production",
     "sealing":     [{"id", "key"}, …]     X25519 private keys, the current one first
     "tokens":      [{"id", "key"}, …]     AES-256 keys, the current one first
     "fingerprint": "…"}                   HMAC-SHA-256 key
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from connections.folders import make_private
from connections.settings import Environment, Settings, SettingsError

# RFC 9180, base mode.
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NONCE_BYTES = 12

KeyBytes = Annotated[Base64Bytes, Field(min_length=32, max_length=32, repr=False)]


class UnreadableSecret(Exception):
    """A stored secret does not open with the keys at hand. Carries no part of it."""


class _Key(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern="^[a-z0-9]{1,16}$")
    key: KeyBytes


class _KeyFile(BaseModel):
    """What both files share: who made them, and how they are read and written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Environment
    fingerprint: KeyBytes

    @classmethod
    def load(cls, path: Path, settings: Settings) -> Self:
        """Raises `SettingsError` when the file is missing, damaged, or made for development and used in production."""
        try:
            keys = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise SettingsError(f"CONNECTOR_KEYS_FILE: cannot read {path}: {error.strerror}") from None
        except ValidationError:
            raise SettingsError(f"CONNECTOR_KEYS_FILE: {path} is not a key file of this kind") from None
        if settings.is_production and keys.environment is not Environment.PRODUCTION:
            raise SettingsError(f"CONNECTOR_KEYS_FILE: {path} holds development keys; CONNECTOR_ENV is production")
        return keys

    def save(self, path: Path) -> None:
        """Writes the file for its owner only, and only if there is none. Raises `FileExistsError`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self.model_dump(mode="json"), file, indent=2)


class ShimKeys(_KeyFile):
    """What the API needs: the public sealing key and the fingerprint key."""

    sealing: _Key


class WorkerKeys(_KeyFile):
    """The whole ring."""

    sealing: tuple[_Key, ...] = Field(min_length=1)
    tokens: tuple[_Key, ...] = Field(min_length=1)

    @classmethod
    def generate(cls, environment: Environment) -> Self:
        return cls.model_validate(
            {
                "environment": environment,
                "sealing": [{"id": "s1", "key": _base64(X25519PrivateKey.generate().private_bytes_raw())}],
                "tokens": [{"id": "t1", "key": _base64(secrets.token_bytes(32))}],
                "fingerprint": _base64(secrets.token_bytes(32)),
            }
        )

    def for_shim(self) -> ShimKeys:
        current = self.sealing[0]
        public = X25519PrivateKey.from_private_bytes(current.key).public_key().public_bytes_raw()
        return ShimKeys.model_validate(
            {
                "environment": self.environment,
                "sealing": {"id": current.id, "key": _base64(public)},
                "fingerprint": _base64(self.fingerprint),
            }
        )


def ensure_development_keys(settings: Settings) -> None:
    """Makes both key files where development has none yet; production demands them instead."""
    if settings.is_production:
        return
    ring, excerpt = settings.worker_keys_path, settings.shim_keys_path
    if not ring.exists() and not excerpt.exists():
        generate_key_files(settings)


def generate_key_files(settings: Settings) -> tuple[Path, Path]:
    """Writes a new ring and the API's excerpt of it. Raises `FileExistsError` rather than replace a key."""
    ring, excerpt = settings.worker_keys_path, settings.shim_keys_path
    if excerpt.exists():
        raise FileExistsError(excerpt)  # before the ring is written: the two must match
    make_private(ring.parent)
    keys = WorkerKeys.generate(settings.env)
    keys.save(ring)
    keys.for_shim().save(excerpt)
    return ring, excerpt


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

    def __init__(self, keys: ShimKeys) -> None:
        self._id = keys.sealing.id
        self._public = X25519PublicKey.from_public_bytes(keys.sealing.key)
        self._fingerprint = keys.fingerprint

    def seal(self, credentials: dict[str, str], bound_to: SealedFor) -> bytes:
        """`<key id>.` and the HPKE ciphertext of the credentials as JSON."""
        plaintext = json.dumps(credentials).encode()
        return self._id.encode() + b"." + _SUITE.encrypt(plaintext, self._public, bound_to.info)

    def fingerprint(self, *parts: str) -> bytes:
        """32 bytes that tell identical requests without telling what is in them."""
        message = json.dumps(parts).encode()
        return hmac.new(self._fingerprint, message, hashlib.sha256).digest()


class Opener:
    """Opens what `Sealer` sealed, with any key of the ring."""

    def __init__(self, keys: WorkerKeys) -> None:
        self._private = {key.id.encode(): X25519PrivateKey.from_private_bytes(key.key) for key in keys.sealing}

    def open(self, sealed: bytes, bound_to: SealedFor) -> dict[str, str]:
        """Raises `UnreadableSecret` for an unknown key, another task's credentials, or damage."""
        key_id, _, ciphertext = sealed.partition(b".")
        try:
            opened: dict[str, str] = json.loads(_SUITE.decrypt(ciphertext, self._private[key_id], bound_to.info))
        except (KeyError, InvalidTag, ValueError):
            raise UnreadableSecret("sealed credentials do not open") from None
        return opened


@dataclass(frozen=True, slots=True)
class Cell:
    """The one column of the one row that an encrypted token belongs to."""

    account_id: str
    column: str

    @property
    def associated_data(self) -> bytes:
        return f"connector/tokens/v1|{self.account_id}|{self.column}".encode()


class TokenCipher:
    """AES-256-GCM with a random nonce, bound to its cell: a token copied to another row does not decrypt."""

    def __init__(self, keys: WorkerKeys) -> None:
        self._current = keys.tokens[0].id.encode()
        self._ciphers = {key.id.encode(): AESGCM(key.key) for key in keys.tokens}

    def encrypt(self, token: str, cell: Cell) -> bytes:
        """`<key id>.`, 12 bytes of nonce, ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._ciphers[self._current].encrypt(nonce, token.encode(), cell.associated_data)
        return self._current + b"." + nonce + ciphertext

    def decrypt(self, stored: bytes, cell: Cell) -> str:
        """Raises `UnreadableSecret` for an unknown key, another cell's token, or damage."""
        key_id, _, rest = stored.partition(b".")
        try:
            plaintext = self._ciphers[key_id].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], cell.associated_data)
        except (KeyError, InvalidTag, ValueError):
            raise UnreadableSecret("a stored token does not decrypt") from None
        return plaintext.decode()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
