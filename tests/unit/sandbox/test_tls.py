"""The certificate of the sandbox, in a handshake in memory."""

import ssl
from pathlib import Path

import pytest

from sandbox.tls import CA_FILE, server_context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Raises `ssl.SSLCertVerificationError` when the client does not believe the server."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in tuple(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
    assert not sides


@pytest.mark.parametrize("name", ["localhost", "bsky.test", "127.0.0.1"])
def test_its_names_are_believed_by_whoever_has_the_ca(tmp_path: Path, name: str) -> None:
    server = server_context(tmp_path, ["localhost", "bsky.test"])
    shake_hands(server, ssl.create_default_context(cafile=tmp_path / CA_FILE), name)


def test_another_name_is_not(tmp_path: Path) -> None:
    server = server_context(tmp_path, ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, ssl.create_default_context(cafile=tmp_path / CA_FILE), "bsky.test")


def test_nobody_else_believes_it(tmp_path: Path) -> None:
    server = server_context(tmp_path, ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, ssl.create_default_context(), "localhost")
