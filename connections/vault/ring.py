"""The key ring, as JSON. Workers hold all of it; the API holds an excerpt that seals and fingerprints, no more.

    {"environment": "development" | "production",
     "sealing":     [{"id", "key", "created_at"}, …]     X25519 private keys, the current one first
     "tokens":      [{"id", "key", "created_at"}, …]     AES-256 keys, the current one first
     "fingerprint": "…",                                 HMAC-SHA-256 key
     "exchanged_at": "…"}                                when a row was last brought under another tokens key

    {"environment", "sealing": {"id", "key" (public), "created_at"}, "fingerprint", "written_at"}

Ids are a letter and a number, `s1`, `t1`. The current key has the highest number and is never taken out, so the next
number is always a new one.
"""

import base64
import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError, field_validator

from connections.settings import Environment, Settings, SettingsError


class KeysMissing(SettingsError):
    """There are no keys yet where they are looked for."""


KeyBytes = Annotated[Base64Bytes, Field(min_length=32, max_length=32, repr=False)]


class Key(BaseModel):
    """One key. `created_at` is empty for those that are older than this column."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern="^[a-z0-9]{1,16}$")
    key: KeyBytes
    created_at: AwareDatetime | None = None


class _Keys(BaseModel):
    """What ring and excerpt share: who made them, and how they are read and written.

    Keys are also the simplest source of keys (`followed.KeySource`): one that never changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Environment
    fingerprint: KeyBytes

    @classmethod
    def load(cls, path: Path, settings: Settings) -> Self:
        """Reads a file. Raises `KeysMissing`, or `SettingsError` when it cannot be used."""
        name = f"CONNECTOR_KEYS_FILE: {path}"
        try:
            json = path.read_bytes()
        except FileNotFoundError:
            raise KeysMissing(f"{name} does not exist; `connector keys generate` makes it") from None
        except OSError as error:
            raise SettingsError(f"{name} cannot be read: {error.strerror}") from None
        return cls.parse(json, name=name, production=settings.is_production)

    @classmethod
    def parse(cls, json: bytes, *, name: str, production: bool) -> Self:
        """`name` says where it came from.

        Raises `SettingsError` when it is damaged, or made for development and used in production.
        """
        try:
            keys = cls.model_validate_json(json)
        except ValidationError:
            raise SettingsError(f"{name} is not a key file of this kind") from None
        if production and keys.environment is not Environment.PRODUCTION:
            raise SettingsError(f"{name} holds development keys; CONNECTOR_ENV is production")
        return keys

    def to_json(self) -> bytes:
        return self.model_dump_json(indent=2).encode()

    def latest(self) -> Self:
        return self

    def refreshed(self) -> Self:
        return self


class ShimKeys(_Keys):
    """What the API needs: the public sealing key and the fingerprint key. `written_at` is when it was last changed."""

    sealing: Key
    written_at: AwareDatetime | None = None

    @property
    def ids(self) -> list[str]:
        return [self.sealing.id]


class WorkerKeys(_Keys):
    """The whole ring. `exchanged_at` is when a row was last brought under another key, if one ever was."""

    sealing: tuple[Key, ...] = Field(min_length=1)
    tokens: tuple[Key, ...] = Field(min_length=1)
    exchanged_at: AwareDatetime | None = None

    @field_validator("sealing", "tokens")
    @classmethod
    def _check_ids(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if len({key.id for key in keys}) < len(keys):
            raise ValueError("two keys have one id")
        return keys

    @classmethod
    def generate(cls, environment: Environment) -> Self:
        now = datetime.now(UTC)
        return cls(
            environment=environment,
            sealing=(_new_sealing_key("s1", now),),
            tokens=(_new_token_key("t1", now),),
            fingerprint=_base64(secrets.token_bytes(32)),
        )

    @property
    def ids(self) -> list[str]:
        return [key.id for key in (*self.sealing, *self.tokens)]

    @property
    def is_rotating(self) -> bool:
        """Whether there are old keys that are still to go."""
        return len(self.sealing) > 1 or len(self.tokens) > 1

    def rotated(self, *, now: datetime, used: Collection[str] = ()) -> Self:
        """With a new current key of each kind. `used` are further ids that must not be given again."""
        taken = {*self.ids, *used}
        return self.model_copy(
            update={
                "sealing": (_new_sealing_key(_next_id("s", taken), now), *self.sealing),
                "tokens": (_new_token_key(_next_id("t", taken), now), *self.tokens),
            }
        )

    def without(self, ids: Collection[str]) -> Self:
        """Without these old keys. The current ones stay, whatever is asked."""
        return self.model_copy(
            update={
                "sealing": (self.sealing[0], *(key for key in self.sealing[1:] if key.id not in ids)),
                "tokens": (self.tokens[0], *(key for key in self.tokens[1:] if key.id not in ids)),
            }
        )

    def exchanging(self, *, now: datetime) -> Self:
        """For whoever is about to bring rows under the current key."""
        return self.model_copy(update={"exchanged_at": now})

    def opens(self, excerpt: ShimKeys) -> bool:
        """Whether this ring opens what the holder of `excerpt` seals, and knows requests by the same fingerprints."""
        sealing = [_public(key) for key in self.sealing if key.id == excerpt.sealing.id]
        return sealing == [excerpt.sealing.key] and excerpt.fingerprint == self.fingerprint

    def for_shim(self, written_at: datetime | None = None) -> ShimKeys:
        current = self.sealing[0]
        return ShimKeys(
            environment=self.environment,
            sealing=Key(id=current.id, key=_base64(_public(current)), created_at=current.created_at),
            fingerprint=_base64(self.fingerprint),
            written_at=written_at,
        )


def _public(key: Key) -> bytes:
    return X25519PrivateKey.from_private_bytes(key.key).public_key().public_bytes_raw()


def _new_sealing_key(key_id: str, now: datetime) -> Key:
    return Key(id=key_id, key=_base64(X25519PrivateKey.generate().private_bytes_raw()), created_at=now)


def _new_token_key(key_id: str, now: datetime) -> Key:
    return Key(id=key_id, key=_base64(secrets.token_bytes(32)), created_at=now)


def _next_id(letter: str, taken: Collection[str]) -> str:
    numbers = [int(match[1]) for key_id in taken if (match := re.fullmatch(rf"{letter}(\d+)", key_id))]
    return f"{letter}{max(numbers, default=0) + 1}"


def _base64(raw: bytes) -> bytes:
    return base64.b64encode(raw)
