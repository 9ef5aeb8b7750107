"""Where database and queue are, as one may say it aloud: without user, password and options."""

from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import make_url


def database_place(url: str) -> str:
    """`db.example:5432/connector`, the folder of a socket in place of the host, or the path of a file."""
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return parts.database or "memory"
    folder = parts.query.get("host", "a local socket")
    host = parts.host or (folder if isinstance(folder, str) else ", ".join(folder))
    return f"{host}{f':{parts.port}' if parts.port else ''}/{parts.database or ''}"


def broker_place(url: str) -> str:
    """`rabbit.example:5671/accounts`."""
    parts = urlsplit(url)
    port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
    return f"{parts.hostname}:{port}/{unquote(parts.path[1:])}"


def redis_place(url: str) -> str:
    """`cache.example:6379/0`."""
    parts = urlsplit(url)
    name = parts.path.strip("/") or "0"
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}/{name}"
