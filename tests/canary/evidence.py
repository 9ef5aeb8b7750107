"""What a run leaves behind, kept by the channel it went through."""

import base64
import contextlib
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.canary.needles import Needles
from tests.servers import Valkey

# What holds the keys by its purpose, for its owner's eyes only.
KEY_FILES = {"keys.json", "keys.shim.json"}


class Evidence:
    """Bytes by channel, gathered by many threads."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[bytes | bytearray]] = defaultdict(list)

    def add(self, channel: str, *pieces: bytes | bytearray) -> None:
        self._pieces[channel].extend(pieces)

    def of(self, channel: str) -> bytes:
        return b"\n".join(self._pieces[channel])

    def search(self, needles: Needles) -> set[tuple[str, str]]:
        """Every find as (name of the secret, channel)."""
        return {(name, channel) for channel in [*self._pieces] for name in needles.found_in(self.of(channel))}


@contextlib.contextmanager
def monitored(valkey: Valkey) -> Iterator[bytearray]:
    """Everything that Valkey is told from here on, until it ends or the block does (MONITOR)."""
    heard = bytearray()
    with socket.create_connection(("127.0.0.1", valkey.port), timeout=5) as listener:
        listener.sendall(f"AUTH {valkey.password}\r\nMONITOR\r\n".encode())
        while heard.count(b"+OK\r\n") < 2:
            heard += listener.recv(65536)
        listener.settimeout(None)

        def listen() -> None:
            with contextlib.suppress(OSError):
                while part := listener.recv(65536):
                    heard.extend(part)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            with contextlib.suppress(OSError):  # the server has ended before
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


_READERS: Mapping[bytes, Any] = {
    b"string": lambda client, key: [client.get(key)],
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"hash": lambda client, key: [part for pair in client.hgetall(key).items() for part in pair],
    b"stream": lambda client, key: [repr(client.xrange(key)).encode()],
    b"none": lambda _client, _key: [],  # it ended since it was listed
}


def keys_of(valkey: Valkey) -> Iterator[bytes]:
    """Every key and what is under it."""
    with valkey.client() as client:
        for key in client.scan_iter():
            yield key
            yield from _READERS[client.type(key)](client, key)


def rows_of(database_url: str) -> Iterator[bytes]:
    """The whole database: SQLite's files byte by byte, free pages and log included; every table of Postgres as COPY
    writes it, which is what a dump has in it."""
    url = make_url(database_url)
    if url.database is not None and url.get_backend_name() == "sqlite":
        for file in sorted(Path(url.database).parent.glob(Path(url.database).name + "*")):
            yield file.read_bytes()
        return
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as copy:
                yield b"".join(bytes(part) for part in copy)


def files_under(directory: Path) -> Iterator[bytes]:
    """Every file but those that hold keys."""
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file.name not in KEY_FILES:
            yield file.read_bytes()


def process_of(pid: int) -> bytes:
    """What others can see of a running process: its command line and, as its user, its environment."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()


def answer_of(answer: httpx.Response) -> bytes:
    """Status line, headers and body."""
    head = b"".join(name + b": " + value + b"\n" for name, value in answer.headers.raw)
    return f"{answer.status_code} {answer.reason_phrase}\n".encode() + head + answer.read()


def keys_in(file: Path) -> Iterator[bytes]:
    """Every 32 bytes that a key file writes in base64."""
    for text in re.findall(r'"([A-Za-z0-9+/_-]{43}=)\s*(?:\\n)?"', file.read_text()):
        yield base64.b64decode(text, altchars=b"-_")
