"""The guard, on an internet in memory: what is dialled and what is sent."""

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.settings import Environment, Settings
from tests.unit.worker.conftest import TLS, Make, get
from tests.unit.worker.platforms.fakes import ALSO_PUBLIC, PUBLIC, Asked, FakeNetwork, FakeResolver, answer
from worker.egress import (
    AddressRefused,
    BadAnswer,
    ConnectFailed,
    Egress,
    EgressError,
    NameUnavailable,
    NoSuchName,
    Policy,
    Response,
    UrlRefused,
)
from worker.egress.network import MAX_ADDRESSES_TRIED


def in_production(plc_url: str = "https://plc.directory") -> Settings:
    return Settings(
        env=Environment.PRODUCTION,
        database_url="postgresql://db/x",
        redis_url="redis://redis",
        keys_file=Path("keys.json"),
        plc_url=plc_url,
    )


SETTINGS = Settings()


class TestAddresses:
    def test_the_checked_address_is_dialled_under_the_name_of_the_host(
        self, egress: Egress, resolver: FakeResolver, network: FakeNetwork
    ) -> None:
        resolver.hosts["host.example"] = [PUBLIC]
        assert get(egress).status == 200
        assert network.dialled == [(PUBLIC, 443)]
        assert network.server_names == ["host.example"]
        assert network.requests[0].headers["host"] == "host.example"
        assert resolver.asked == ["host.example"]

    @pytest.mark.parametrize(
        "addresses",
        [
            ["127.0.0.1"],
            ["169.254.169.254"],
            ["::1"],
            [PUBLIC, "10.0.0.1"],
            [PUBLIC, ALSO_PUBLIC, "::ffff:10.0.0.1"],
            [*[PUBLIC] * MAX_ADDRESSES_TRIED, "10.0.0.1"],
        ],
    )
    def test_one_bad_address_refuses_the_host_before_a_socket_opens(
        self, egress: Egress, resolver: FakeResolver, network: FakeNetwork, addresses: list[str]
    ) -> None:
        resolver.hosts["host.example"] = addresses
        with pytest.raises(AddressRefused):
            get(egress)
        assert network.dialled == []

    def test_the_next_address_is_tried(self, egress: Egress, resolver: FakeResolver, network: FakeNetwork) -> None:
        resolver.hosts["host.example"] = [PUBLIC, ALSO_PUBLIC]
        network.unreachable = {PUBLIC}
        assert get(egress).status == 200
        assert network.dialled == [(PUBLIC, 443), (ALSO_PUBLIC, 443)]

    def test_not_without_end(self, egress: Egress, resolver: FakeResolver, network: FakeNetwork) -> None:
        resolver.hosts["host.example"] = [PUBLIC] * 50
        network.unreachable = {PUBLIC}
        with pytest.raises(ConnectFailed):
            get(egress)
        assert len(network.dialled) == MAX_ADDRESSES_TRIED

    @pytest.mark.parametrize("failure", [NoSuchName("x"), NameUnavailable("x")])
    def test_a_name_that_does_not_resolve(
        self, egress: Egress, resolver: FakeResolver, network: FakeNetwork, failure: EgressError
    ) -> None:
        resolver.hosts["host.example"] = failure
        with pytest.raises(type(failure)):
            get(egress)
        assert network.dialled == []

    def test_a_name_that_turns_inside_is_refused_at_the_next_connection(
        self, egress: Egress, resolver: FakeResolver, network: FakeNetwork
    ) -> None:
        resolver.hosts["host.example"] = [PUBLIC]
        network.handlers["host.example"] = lambda _: answer(200, {}, {"connection": "close"})
        get(egress)
        resolver.hosts["host.example"] = ["127.0.0.1"]
        with pytest.raises(AddressRefused):
            get(egress)
        assert network.dialled == [(PUBLIC, 443)]

    def test_no_proxy_of_the_environment_gets_in_between(
        self,
        make: Make,
        settings: Settings,
        resolver: FakeResolver,
        network: FakeNetwork,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://proxy.example:3128")
        resolver.hosts["host.example"] = [PUBLIC]
        get(make(settings))
        assert network.dialled == [(PUBLIC, 443)]


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "http://host.example/",
            "ftp://host.example/",
            "file:///etc/passwd",
            "//host.example/",
            "host.example",
            "https://",
            "https:///path",
            "https://alice:secret@host.example/",
            "https://host.example:8443/",
            "https://host.example:99999/",
            "https://[::1/",
            "https://xn--a.com/",
            "https://host.example\n/",
            "",
        ],
    )
    def test_what_is_not_called(self, egress: Egress, resolver: FakeResolver, network: FakeNetwork, url: str) -> None:
        resolver.hosts["host.example"] = [PUBLIC]
        with pytest.raises(UrlRefused) as caught:
            get(egress, url)
        assert "secret" not in str(caught.value)
        assert (network.dialled, resolver.asked) == ([], [])

    @pytest.mark.parametrize("port", [0, 65536, 99999])
    def test_any_port_is_one_that_exists(
        self, egress: Egress, resolver: FakeResolver, network: FakeNetwork, port: int
    ) -> None:
        resolver.hosts["host.example"] = [PUBLIC]
        with pytest.raises(UrlRefused):
            get(egress, f"https://host.example:{port}/", Policy(any_port=True))
        assert network.dialled == []

    @given(
        st.text(max_size=60), st.sampled_from(["", "https://", "https://host.example", "//", "https://host.example:"])
    )
    def test_no_text_gets_past_as_a_url(self, text: str, prefix: str) -> None:
        resolver, network = FakeResolver(), FakeNetwork()
        resolver.hosts["host.example"] = [PUBLIC]
        network.handlers["host.example"] = lambda _: answer(302, headers={"location": prefix + text})
        egress = Egress(SETTINGS, resolver=resolver, connector=network, ssl_context=TLS)
        for url in (prefix + text, "https://host.example"):
            with suppress(EgressError):
                get(egress, url, Policy(redirects=1))
        egress.close()
        assert {port for _, port in network.dialled} <= {443}

    def test_another_port_must_be_granted(self, egress: Egress, resolver: FakeResolver, network: FakeNetwork) -> None:
        resolver.hosts["host.example"] = [PUBLIC]
        get(egress, "https://host.example:8443/", Policy(any_port=True))
        assert network.dialled == [(PUBLIC, 8443)]

    @pytest.mark.parametrize(
        ("configured", "called"),
        [
            ("http://localhost:2583", "http://127.0.0.1:2583"),
            ("http://127.0.0.1:2583", "http://localhost:2583"),
            ("http://[::1]:2583", "http://LOCALHOST:2583"),
            ("http://localhost:2583", "http://[::1]:2583"),
        ],
    )
    def test_in_development_the_configured_origin_may_be_local_by_any_name(
        self, make: Make, resolver: FakeResolver, network: FakeNetwork, configured: str, called: str
    ) -> None:
        egress = make(Settings(dev_pds_url=configured))
        resolver.hosts = dict.fromkeys(("localhost", "127.0.0.1", "::1"), ("127.0.0.1",))
        get(egress, called)
        assert network.dialled == [("127.0.0.1", 2583)]

    @pytest.mark.parametrize(
        "called",
        ["http://localhost:2584", "https://localhost:2583", "http://127.0.0.2:2583", "http://host.example:2583"],
    )
    def test_and_no_other_may(self, make: Make, resolver: FakeResolver, network: FakeNetwork, called: str) -> None:
        egress = make(Settings(dev_pds_url="http://localhost:2583"))
        resolver.hosts = dict.fromkeys(("localhost", "127.0.0.2", "host.example"), ("127.0.0.1",))
        with pytest.raises((UrlRefused, AddressRefused)):
            get(egress, called, Policy(any_port=True))
        assert network.dialled == []

    def test_in_production_the_operators_own_host_may_be_inside_but_only_for_the_operators_calls(
        self, make: Make, resolver: FakeResolver, network: FakeNetwork
    ) -> None:
        egress = make(in_production("https://plc.inside.example"))
        resolver.hosts["plc.inside.example"] = ["10.0.0.7"]
        get(egress, "https://plc.inside.example/did:plc:x", Policy(is_operators=True))
        # The connection is still open; a stranger's document that names this host must not ride on it.
        with pytest.raises(AddressRefused):
            get(egress, "https://plc.inside.example/xrpc/x", Policy(any_port=True))
        assert network.dialled == [("10.0.0.7", 443)]

    def test_the_operators_calls_reach_no_other_host_inside(
        self, make: Make, resolver: FakeResolver, network: FakeNetwork
    ) -> None:
        egress = make(in_production())
        resolver.hosts["host.example"] = ["10.0.0.7"]
        with pytest.raises(AddressRefused):
            get(egress, policy=Policy(is_operators=True))
        assert network.dialled == []


class TestRequests:
    @pytest.fixture(autouse=True)
    def _is_public(self, resolver: FakeResolver) -> None:
        resolver.hosts |= {
            "host.example": [PUBLIC],
            "other.example": [PUBLIC],
            "inside.example": ["10.0.0.1"],
            "::1": ["::1"],
        }

    def test_connections_are_kept(self, egress: Egress, network: FakeNetwork) -> None:
        for _ in range(3):
            get(egress)
        assert len(network.dialled) == 1

    def test_whatever_thread_they_are_made_in(self, egress: Egress, network: FakeNetwork) -> None:
        get(egress)
        thread = threading.Thread(target=get, args=(egress,))
        thread.start()
        thread.join()
        assert len(network.dialled) == 1

    def test_but_never_by_two_at_the_same_time(self, egress: Egress, network: FakeNetwork) -> None:
        both = threading.Barrier(2, timeout=5)

        def wait_for_the_other(_asked: Asked) -> bytes:
            both.wait()
            return answer(200)

        network.handlers["host.example"] = wait_for_the_other
        threads = [threading.Thread(target=get, args=(egress,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(network.dialled) == 2

    def test_and_close_ends_them(self, egress: Egress, network: FakeNetwork) -> None:
        get(egress)
        egress.close()
        assert network.closed == len(network.dialled) == 1

    def test_the_body_is_json_and_identity_is_demanded(self, egress: Egress, network: FakeNetwork) -> None:
        egress.request(
            "POST",
            "https://host.example/x",
            json={"a": 1},
            headers={"authorization": "Bearer t"},
            deadline=time.monotonic() + 5,
        )
        [asked] = network.requests
        assert asked.json() == {"a": 1}
        assert asked.headers["accept-encoding"] == "identity"
        assert asked.headers["authorization"] == "Bearer t"

    def test_cookies_are_not_kept(self, egress: Egress, network: FakeNetwork) -> None:
        network.handlers["host.example"] = lambda _: answer(200, {}, {"set-cookie": "a=b"})
        get(egress)
        get(egress)
        assert "cookie" not in network.requests[1].headers

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_an_answer(self, egress: Egress, network: FakeNetwork, status: int) -> None:
        network.handlers["host.example"] = lambda _: answer(status, headers={"location": "https://other.example/"})
        assert get(egress).status == status
        assert len(network.requests) == 1

    def test_unless_it_may_be_followed(self, egress: Egress, network: FakeNetwork) -> None:
        network.handlers |= {
            "host.example": lambda _: answer(302, headers={"location": "//other.example/there"}),
            "other.example": lambda _: answer(200, "found"),
        }
        assert get(egress, policy=Policy(redirects=1)).body == b'"found"'
        assert network.requests[1].url == "/there"

    @pytest.mark.parametrize(
        ("location", "error"),
        [
            ("https://inside.example/", AddressRefused),
            ("http://other.example/", UrlRefused),
            ("https://other.example:8443/", UrlRefused),
            ("https://host.example/", BadAnswer),
            ("https://[", NoSuchName),
            ("https://[::1", UrlRefused),
            ("https://[::1]/", AddressRefused),
        ],
    )
    def test_each_hop_is_checked_like_the_first(
        self, egress: Egress, network: FakeNetwork, location: str, error: type[EgressError]
    ) -> None:
        network.handlers["host.example"] = lambda _: answer(302, headers={"location": location})
        with pytest.raises(error):
            get(egress, policy=Policy(redirects=2))
        assert {address for address, _ in network.dialled} == {PUBLIC}
        assert len(network.requests) <= 3

    @pytest.mark.parametrize(("method", "json", "headers"), [("POST", {}, {}), ("GET", None, {"authorization": "x"})])
    def test_what_holds_secrets_is_never_sent_on(
        self, egress: Egress, method: str, json: object, headers: dict[str, str]
    ) -> None:
        with pytest.raises(ValueError, match="bare GET"):
            egress.request(
                method, "https://host.example", json=json, headers=headers, deadline=0, policy=Policy(redirects=1)
            )

    def test_a_response_is_not_printed(self) -> None:
        assert "secret" not in repr(Response(200, {"x": "secret"}, b"secret"))
