"""A key store that is not files: what a KMS with a secret store behind it would be, in this process's memory."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connections.settings import Settings
from connections.vault import KeysMissing, ShimKeys, WorkerKeys


class EnvelopeKeyStore:
    """Keeps ring and excerpt wrapped with a key that never leaves the "KMS"."""

    ring_name = "kms:ring"
    excerpt_name = "kms:excerpt"
    poll_seconds = 0.0

    def __init__(self, settings: Settings) -> None:
        self._production = settings.is_production
        self._kms = AESGCM(AESGCM.generate_key(256))
        self._lock = threading.Lock()
        self.wrapped: dict[str, bytes] = {}

    def load_ring(self) -> WorkerKeys:
        return WorkerKeys.parse(self._unwrap(self.ring_name), name=self.ring_name, production=self._production)

    def load_excerpt(self) -> ShimKeys:
        return ShimKeys.parse(self._unwrap(self.excerpt_name), name=self.excerpt_name, production=self._production)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._lock:
            yield

    def save_ring(self, keys: WorkerKeys) -> None:
        self._wrap(self.ring_name, keys.to_json())

    def save_excerpt(self, keys: ShimKeys) -> None:
        self._wrap(self.excerpt_name, keys.to_json())

    def _wrap(self, name: str, plain: bytes) -> None:
        nonce = os.urandom(12)
        self.wrapped[name] = nonce + self._kms.encrypt(nonce, plain, name.encode())

    def _unwrap(self, name: str) -> bytes:
        try:
            wrapped = self.wrapped[name]
        except KeyError:
            raise KeysMissing(f"{name} does not exist") from None
        return self._kms.decrypt(wrapped[:12], wrapped[12:], name.encode())
