"""The guard on what comes back: how much, how long, and in which shape."""

import time
from contextlib import nullcontext

import httpcore
import pytest

from tests.unit.worker.conftest import get
from tests.unit.worker.platforms.fakes import PUBLIC, Asked, FakeNetwork, FakeResolver, answer
from worker.egress import (
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    Egress,
    EgressError,
    Policy,
    TlsFailed,
    TooLarge,
)
from worker.egress.client import MAX_PIECES
from worker.egress.transport import FAILURES


class TestAnswers:
    @pytest.fixture(autouse=True)
    def _is_public(self, resolver: FakeResolver) -> None:
        resolver.hosts["host.example"] = [PUBLIC]

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (answer(200, content=b"x" * 1001), TooLarge),
            (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, TooLarge),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx",
                TooLarge,
            ),
            (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000, BadAnswer),
            (b"HTTP/1.1 102 Wait\r\n\r\n" * 50_000, TooLarge),
            (answer(200, content=b"\x1f\x8b", headers={"content-encoding": "gzip"}), BadAnswer),
            (answer(200, content=b"x", headers={"content-encoding": "identity, br"}), BadAnswer),
            (b"SSH-2.0-OpenSSH_9.6\r\n", BadAnswer),
            (b"", BadAnswer),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", BadAnswer),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", BadAnswer),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BadAnswer),
        ],
        ids=range(12),
    )
    def test_what_is_not_taken(
        self, egress: Egress, network: FakeNetwork, reply: bytes, error: type[EgressError]
    ) -> None:
        network.handlers["host.example"] = lambda _: reply
        with pytest.raises(error):
            get(egress, policy=Policy(max_body=1000))

    def test_the_connection_is_good_for_nothing_afterwards(self, egress: Egress, network: FakeNetwork) -> None:
        network.handlers["host.example"] = lambda _: answer(200, content=b"x" * 1001)
        with pytest.raises(TooLarge):
            get(egress, policy=Policy(max_body=1000))
        network.handlers["host.example"] = lambda _: answer(200, "fine")
        assert get(egress).body == b'"fine"'
        assert len(network.dialled) == 2

    def test_exactly_as_much_as_allowed(self, egress: Egress, network: FakeNetwork) -> None:
        network.handlers["host.example"] = lambda _: answer(200, content=b"x" * 1000)
        assert len(get(egress, policy=Policy(max_body=1000)).body) == 1000

    @pytest.mark.parametrize(("crumbs", "is_taken"), [(MAX_PIECES, True), (MAX_PIECES + 1, False)])
    def test_a_body_in_crumbs(self, egress: Egress, network: FakeNetwork, crumbs: int, is_taken: bool) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        network.handlers["host.example"] = lambda _: head + b"1\r\nx\r\n" * crumbs + b"0\r\n\r\n"
        with nullcontext() if is_taken else pytest.raises(TooLarge):
            assert len(get(egress).body) == crumbs

    @pytest.mark.parametrize("encoding", ["identity", " Identity ", ""])
    def test_identity_is_no_encoding(self, egress: Egress, network: FakeNetwork, encoding: str) -> None:
        network.handlers["host.example"] = lambda _: answer(200, 1, {"content-encoding": encoding})
        assert get(egress).body == b"1"

    def test_no_time_left(self, egress: Egress, network: FakeNetwork) -> None:
        with pytest.raises(DeadlineExceeded):
            egress.request("GET", "https://host.example", deadline=time.monotonic() - 1)
        assert network.dialled == []

    def test_a_drip_gets_only_the_time_that_is_left(self, egress: Egress, network: FakeNetwork) -> None:
        def slow(_: Asked) -> bytes:
            time.sleep(0.05)
            return answer(200, content=b"x" * 100_000)

        network.handlers["host.example"] = slow
        with pytest.raises(DeadlineExceeded):
            egress.request("GET", "https://host.example", deadline=time.monotonic() + 0.04)

    @pytest.mark.parametrize(
        ("foreign", "own"),
        [
            (httpcore.ReadTimeout("x"), DeadlineExceeded),
            (httpcore.ReadError("x"), ConnectionLost),
            (httpcore.ConnectError("x"), ConnectFailed),
            (httpcore.RemoteProtocolError("x"), BadAnswer),
        ],
    )
    def test_what_httpcore_raises(
        self, egress: Egress, network: FakeNetwork, foreign: Exception, own: type[EgressError]
    ) -> None:
        def broken(_: Asked) -> bytes:
            raise foreign

        network.handlers["host.example"] = broken
        with pytest.raises(own):
            get(egress)

    def test_every_error_of_httpcore_has_a_row(self) -> None:
        raised = (getattr(httpcore, name) for name in httpcore.__all__)
        errors = [kind for kind in raised if isinstance(kind, type) and issubclass(kind, Exception)]
        # A proxy is never configured, the scheme is checked before, and the pool catches the last itself.
        not_raised = (httpcore.ProxyError, httpcore.UnsupportedProtocol, httpcore.ConnectionNotAvailable)
        for kind in errors:
            assert issubclass(kind, (*FAILURES, *not_raised)), kind

    def test_a_certificate_that_does_not_fit(self, egress: Egress, network: FakeNetwork) -> None:
        network.refuses_tls = True
        with pytest.raises(TlsFailed):
            get(egress)
        assert network.requests == []
