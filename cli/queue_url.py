"""Where Redis is, for commands that look at a running service: where the settings say, or where `connector up` has
started one. That leaves its address in a file beside database and keys, for their owner only, while it runs.
"""

from pathlib import Path

from cli.replacing import replacing
from connections.settings import Settings, SettingsError


def find_redis_url(settings: Settings) -> str:
    """Raises `SettingsError` when nobody says where it is."""
    if settings.redis_url:
        return settings.redis_url
    try:
        return _path(settings).read_text(encoding="utf-8")
    except OSError:
        raise SettingsError(
            f"CONNECTOR_REDIS_URL is not set, and no `connector up` with a Redis of its own runs in {settings.var_dir}"
        ) from None


def note_redis_url(settings: Settings, url: str) -> None:
    """Raises `CommandFailed` when nothing can be written."""
    with replacing(_path(settings)) as file:
        file.write(url)


def forget_redis_url(settings: Settings) -> None:
    _path(settings).unlink(missing_ok=True)


def _path(settings: Settings) -> Path:
    return settings.var_dir / "valkey.url"
