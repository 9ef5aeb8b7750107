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
    NotAllowed,
    Policy,
    TlsFailed,
    TooLarge,
)
from worker.egress.exchange import MAX_HEAD, MAX_PIECES
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
            (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (MAX_HEAD // 6), TooLarge),
            (b"HTTP/1.1 102 Wait\r\n\r\n" * 50_000, TooLarge),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 50_000, TooLarge),
            (answer(200, content=b"\x1f\x8b", headers={"content-encoding": "gzip"}), BadAnswer),
            (answer(200, content=b"x", headers={"content-encoding": "identity, br"}), BadAnswer),
            (b"SSH-2.0-OpenSSH_9.6\r\n", BadAnswer),
            (b"", ConnectionLost),
            (b"HTTP/1.1 200", ConnectionLost),
            (b"HTTP/1.1 102 Wait\r\n\r\n", ConnectionLost),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", ConnectionLost),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", ConnectionLost),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", BadAnswer),
            (b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n", BadAnswer),
            (b"HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n", BadAnswer),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", BadAnswer),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BadAnswer),
        ],
        ids=range(19),
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

    @pytest.mark.parametrize(
        ("reply", "body", "times_dialled"),
        [
            (answer(200, content=b"fine"), b"fine", 1),
            (b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + answer(200, content=b"fine"), b"fine", 1),
            (answer(204, content=b""), b"", 1),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n4\r\nfine\r\n0\r\nx: y\r\n\r\n", b"fine", 1),
            (answer(200, content=b"fine", headers={"connection": "close"}), b"fine", 2),
            (b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nfine", b"fine", 2),
            (b"HTTP/1.1 200 OK\r\n\r\nfine", b"fine", 2),
            (answer(200, content=b"fine") + b"HTTP/1.1 200 OK\r\n", b"fine", 2),
            (answer(200, content=b"fine") + b"more than was asked for", b"fine", 2),
            (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", b"", 2),
        ],
    )
    def test_a_connection_is_used_again_if_nothing_speaks_against_it(
        self, egress: Egress, network: FakeNetwork, reply: bytes, body: bytes, times_dialled: int
    ) -> None:
        network.handlers["host.example"] = lambda _: reply
        assert get(egress).body == body
        assert get(egress).body == body
        assert len(network.dialled) == times_dialled

    def test_headers(self, egress: Egress, network: FakeNetwork) -> None:
        """Interim ones are another answer's, and trailers none of what was asked for."""
        network.handlers["host.example"] = lambda _: (
            b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nA: 1 \r\na:2\r\nB: \xe9\r\ntransfer-encoding: chunked\r\n\r\n0\r\nc: 3\r\n\r\n"
        )
        assert get(egress).headers == {"a": "1, 2", "b": "é", "transfer-encoding": "chunked"}

    @pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\0b", "é", " a", ""])
    def test_a_header_that_is_none_is_not_sent(self, egress: Egress, network: FakeNetwork, value: str) -> None:
        with pytest.raises(NotAllowed):
            egress.request(
                "POST", "https://host.example/", headers={"authorization": value}, deadline=time.monotonic() + 5
            )
        assert network.requests == []

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
        # Of httpcore there are only its sockets.
        not_raised = (
            httpcore.ProxyError,
            httpcore.UnsupportedProtocol,
            httpcore.ConnectionNotAvailable,
            httpcore.ProtocolError,
        )
        for kind in errors:
            assert issubclass(kind, (*FAILURES, *not_raised)), kind

    def test_a_certificate_that_does_not_fit(self, egress: Egress, network: FakeNetwork) -> None:
        network.refuses_tls = True
        with pytest.raises(TlsFailed):
            get(egress)
        assert network.requests == []
