"""The keys in two files, replaced while others read them."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connections.folders import make_private
from connections.settings import Settings, SettingsError
from connections.vault.ring import ShimKeys, WorkerKeys


class FileKeyStore:
    """`CONNECTOR_KEYS_FILE` and `CONNECTOR_SHIM_KEYS_FILE`."""

    poll_seconds = 1.0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ring, self._excerpt = settings.worker_keys_path, settings.shim_keys_path
        self.ring_name, self.excerpt_name = str(self._ring), str(self._excerpt)

    def load_ring(self) -> WorkerKeys:
        return WorkerKeys.load(self._ring, self._settings)

    def load_excerpt(self) -> ShimKeys:
        return ShimKeys.load(self._excerpt, self._settings)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the ring's folder: the ring itself is another file after each change."""
        make_private(self._ring.parent)
        folder = os.open(self._ring.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def save_ring(self, keys: WorkerKeys) -> None:
        _replace(self._ring, keys.to_json())

    def save_excerpt(self, keys: ShimKeys) -> None:
        make_private(self._excerpt.parent)
        _replace(self._excerpt, keys.to_json())


def _replace(path: Path, content: bytes) -> None:
    """All or nothing, also in a power cut. Who could read the file before can read it after; a new one, its owner only.

    Raises `SettingsError` when that is not possible.
    """
    path = path.resolve()
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)  # left by a crash; the lock says that nobody is writing it
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _copy_access(path, descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise SettingsError(f"CONNECTOR_KEYS_FILE: {path} cannot be written: {error.strerror}") from None


def _copy_access(path: Path, descriptor: int) -> None:
    if not path.exists():
        return
    old, new = path.stat(), os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
