"""Real TLS: the connector sends the checked, public address to a server on loopback."""

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connections.settings import Settings
from tests.unit.worker.platforms.fakes import PUBLIC, FakeResolver
from worker.egress import DeadlineExceeded, Egress, TlsFailed

HOST = "pds.example.com"


def certificate(path: Path) -> Path:
    """A self-signed one for `HOST`, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + built.public_bytes(serialization.Encoding.PEM))
    return path


class TlsServer:
    """Serves one request after another; remembers the server names that were asked for."""

    def __init__(self, pem: Path) -> None:
        self.server_names: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._context.sni_callback = lambda _socket, name, _context: self.server_names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.settimeout(2)
            try:
                with self._context.wrap_socket(accepted, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            except OSError:
                accepted.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


class ToLoopback(httpcore.SyncBackend):
    """Where the internet would be: the public address leads to `port` on loopback."""

    def __init__(self, port: int) -> None:
        self.dialled: list[tuple[str, int]] = []
        self._port = port

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.dialled.append((host, port))
        return super().connect_tcp("127.0.0.1", self._port, timeout, local_address, socket_options)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path / "host.pem")


@pytest.fixture
def server(pem: Path) -> Iterator[TlsServer]:
    server = TlsServer(pem)
    yield server
    server.close()


def egress_to(server: TlsServer, connector: ToLoopback, trusted: Path | None) -> Egress:
    resolver = FakeResolver()
    resolver.hosts = {HOST: [PUBLIC], "other.example.com": [PUBLIC]}
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    return Egress(Settings(), resolver=resolver, connector=connector, ssl_context=context)


def test_the_name_is_verified_although_an_address_is_dialled(server: TlsServer, pem: Path) -> None:
    connector = ToLoopback(server.port)
    egress = egress_to(server, connector, trusted=pem)
    assert egress.request("GET", f"https://{HOST}/", deadline=time.monotonic() + 5).body == b"ok"
    egress.close()
    assert connector.dialled == [(PUBLIC, 443)]
    assert server.server_names == [HOST]


@pytest.mark.parametrize(("host", "is_trusted"), [(HOST, False), ("other.example.com", True)])
def test_an_unknown_authority_or_another_name_is_refused(
    server: TlsServer, pem: Path, host: str, is_trusted: bool
) -> None:
    egress = egress_to(server, ToLoopback(server.port), trusted=pem if is_trusted else None)
    with pytest.raises(TlsFailed):
        egress.request("GET", f"https://{host}/", deadline=time.monotonic() + 5)
    egress.close()


def test_a_handshake_that_never_comes_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        resolver = FakeResolver()
        resolver.hosts = {HOST: [PUBLIC]}
        egress = Egress(Settings(), resolver=resolver, connector=ToLoopback(silent.getsockname()[1]))
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            egress.request("GET", f"https://{HOST}/", deadline=started + 0.3)
        assert time.monotonic() - started < 5  # the listener never accepts, so nothing else ends it
        egress.close()
