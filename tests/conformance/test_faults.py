"""Faults as a client meets them on the wire. Only the sandbox can be told to fail."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import dns.exception
import dns.message
import dns.query
import dns.rcode
import httpx
import psutil
import pytest

from sandbox import faults
from sandbox.client import ControlClient, ControlError
from sandbox.dns import Failure
from sandbox.message import Part
from sandbox.methods import CREATE_SESSION, DELETE_SESSION, GET_PROFILE, REFRESH_SESSION
from sandbox.plc import RESOLVE
from sandbox.process import SandboxProcess
from tests.e2e.network.pds_client import PdsClient

DEADLINE_SECONDS = 20.0


@pytest.fixture(scope="module")
def process() -> Iterator[SandboxProcess]:
    with SandboxProcess("--pds-port", "0", "--pds-port", "0", "--entryway-port", "0") as running:
        yield running


@pytest.fixture
def sandbox(process: SandboxProcess) -> SandboxProcess:
    """A sandbox as it was after its start."""
    process.control.reset()
    return process


@pytest.fixture
def pds(sandbox: SandboxProcess) -> Iterator[PdsClient]:
    with PdsClient(sandbox.pds_url, "admin-pass") as client:
        yield client


@pytest.fixture
def login(sandbox: SandboxProcess, pds: PdsClient) -> Callable[[], httpx.Response]:
    """Logs the demo account in."""
    alice = sandbox.accounts[0]
    return lambda: pds.login(alice.handle, alice.app_password)


Login = Callable[[], httpx.Response]


def test_a_status_so_often_and_then_all_is_well(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.order(faults.Status(status=503, method=CREATE_SESSION, times=2))
    assert [login().status_code for _ in range(3)] == [503, 503, 200]
    assert [order["struck"] for order in sandbox.control.faults()] == [2]


def test_a_fault_of_one_account_leaves_others_alone(sandbox: SandboxProcess, pds: PdsClient, login: Login) -> None:
    bob = sandbox.control.create_account("bob.test")
    sandbox.control.order(faults.Status(status=500, account=bob.did))
    assert pds.login("BOB.test", bob.app_password).status_code == 500
    assert login().status_code == 200


def test_a_fault_of_one_host_leaves_others_alone(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.order(faults.Status(status=500, host="plc"))
    document = httpx.get(f"{sandbox.plc_url}/{sandbox.accounts[0].did}", trust_env=False)
    assert (document.status_code, login().status_code) == (500, 200)
    assert sandbox.control.count(RESOLVE, host="plc") == 1


@pytest.mark.parametrize("part", [Part.BEFORE, Part.HEADERS, Part.BODY])
def test_dropped(sandbox: SandboxProcess, login: Login, part: Part) -> None:
    sandbox.control.order(faults.Drop(at=part, times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        login()
    # Cut in the middle, the login has taken place, and nobody holds its tokens.
    assert sandbox.control.open_sessions("alice.test") == (0 if part is Part.BEFORE else 1)
    assert login().status_code == 200


@pytest.mark.parametrize("part", [Part.HEADERS, Part.BODY])
def test_dripped(sandbox: SandboxProcess, login: Login, part: Part) -> None:
    sandbox.control.order(faults.Drip(part=part, step=200, interval=0.02))
    started = time.monotonic()
    assert login().status_code == 200
    assert time.monotonic() - started > 0.05


def test_late(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.order(faults.Delay(after=0.2))
    started = time.monotonic()
    assert login().status_code == 200
    assert time.monotonic() - started >= 0.2


def test_huge(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.order(faults.Huge(size=4 * 1024 * 1024))
    assert len(login().content) > 4 * 1024 * 1024


def test_a_client_may_leave_in_the_middle(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.order(faults.Huge(size=1024 * 1024 * 1024, times=1))
    with httpx.stream("GET", f"{sandbox.plc_url}/did:plc:x", trust_env=False) as response:
        assert next(response.iter_bytes())
    assert login().status_code == 200


def test_gzip_bomb(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.order(faults.GzipBomb(size=8 * 1024 * 1024))
    response = login()
    assert len(response.content) > 8 * 1024 * 1024
    assert int(response.headers["content-length"]) < 64 * 1024


def test_redirected(sandbox: SandboxProcess, login: Login) -> None:
    elsewhere = f"{sandbox.hosts['pds2']}/xrpc/{CREATE_SESSION}"
    sandbox.control.order(faults.Redirect(to=elsewhere, status=308))
    response = login()
    assert (response.status_code, response.headers["location"]) == (308, elsewhere)
    assert sandbox.control.count(host="pds2") == 0


def test_lies(sandbox: SandboxProcess, login: Login) -> None:
    lie = sandbox.control.order(faults.WrongDid(did="did:plc:mallory", method=CREATE_SESSION))
    assert login().json()["did"] == "did:plc:mallory"
    sandbox.control.cancel(lie)
    sandbox.control.order(faults.DidDocElsewhere(pds=sandbox.hosts["pds2"], method=CREATE_SESSION))
    assert login().json()["didDoc"]["service"][0]["serviceEndpoint"] == sandbox.hosts["pds2"]


def test_rate_limited(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.order(faults.RateLimited(reset=30, retry_after=30))
    response = login()
    assert (response.status_code, response.headers["retry-after"]) == (429, "30")
    assert 0 < int(response.headers["ratelimit-reset"]) - time.time() <= 30


def test_email_code(sandbox: SandboxProcess, pds: PdsClient, login: Login) -> None:
    alice = sandbox.accounts[0]
    sandbox.control.require_email_code("alice.test", "AAAAA-BBBBB")
    refused = pds.login(alice.handle, alice.password)
    assert (refused.status_code, refused.json()["error"]) == (401, "AuthFactorTokenRequired")
    assert sandbox.control.mails_sent("alice.test") == 1
    assert pds.login(alice.handle, alice.password, authFactorToken="AAAAA-BBBBB").status_code == 200
    assert login().status_code == 200


def test_an_entryway_speaks_for_every_pds(sandbox: SandboxProcess) -> None:
    bob = sandbox.control.create_account("bob.test", host="pds2")
    with PdsClient(sandbox.hosts["entryway"], "admin-pass") as entryway:
        session = entryway.login(bob.handle, bob.app_password).json()
    assert session["didDoc"]["service"][0]["serviceEndpoint"] == sandbox.hosts["pds2"]
    with PdsClient(sandbox.hosts["pds2"], "admin-pass") as home:
        assert home.post(DELETE_SESSION, token=session["refreshJwt"]).status_code == 200
    assert sandbox.control.open_sessions(bob.did) == 0
    with PdsClient(sandbox.pds_url, "admin-pass") as stranger:
        assert stranger.login(bob.handle, bob.app_password).status_code == 401


def test_sessions_and_requests_are_counted(sandbox: SandboxProcess, pds: PdsClient, login: Login) -> None:
    refresh = login().json()["refreshJwt"]
    pds.login("ALICE.test", "wrong")
    assert sandbox.control.count(CREATE_SESSION) == 2
    assert sandbox.control.count(CREATE_SESSION, identifier="alice.test") == 1
    statuses = [request["status"] for request in sandbox.control.requests(CREATE_SESSION)]
    assert statuses == [200, 401]

    following = pds.post(REFRESH_SESSION, token=refresh).json()["refreshJwt"]
    replaced = [token["replaced"] for token in sandbox.control.refresh_tokens("alice.test")]
    assert (sorted(replaced), sandbox.control.open_sessions("alice.test")) == ([False, True], 1)
    pds.post(DELETE_SESSION, token=following)
    assert sandbox.control.open_sessions("alice.test") == 0


def test_time_can_be_moved(sandbox: SandboxProcess, pds: PdsClient, login: Login) -> None:
    access = login().json()["accessJwt"]
    assert pds.get(GET_PROFILE, token=access, params={"actor": "alice.test"}).json()["handle"] == "alice.test"
    sandbox.control.advance_clock(2 * 60 * 60)
    refused = pds.get(GET_PROFILE, token=access, params={"actor": "alice.test"})
    assert refused.json()["error"] == "ExpiredToken"


def test_limits_can_be_switched(sandbox: SandboxProcess, login: Login) -> None:
    sandbox.control.limits(enabled=True, scale=0.1, retry_after=True)
    assert login().headers["ratelimit-policy"] == "30;w=30"
    sandbox.control.limits(enabled=False)
    assert "ratelimit-policy" not in login().headers


def test_wrong_orders_are_refused(sandbox: SandboxProcess) -> None:
    with pytest.raises(ControlError, match="there is no account"):
        sandbox.control.take_down("nobody.test")
    with pytest.raises(ControlError, match="there is no host"):
        sandbox.control.create_account("bob.test", host="moon")


def test_documents_of_any_kind(sandbox: SandboxProcess) -> None:
    document: dict[str, Any] = {"id": "did:web:bob.test", "service": []}
    sandbox.control.put_document("did:web:bob.test", document)
    with PdsClient(sandbox.pds_url, "admin-pass") as pds:
        served = pds.get("/.well-known/did.json", headers={"Host": "bob.test"})
    assert served.json() == document


def test_dns(sandbox: SandboxProcess) -> None:
    host, port = sandbox.dns_address.split(":")
    query = dns.message.make_query("_atproto.alice.test", "TXT")
    for ask in (dns.query.udp, dns.query.tcp):
        answer = ask(query, host, port=int(port), timeout=5)
        assert answer.answer[0][0].to_text() == f'"did={sandbox.accounts[0].did}"'

    sandbox.control.fail_name("_atproto.alice.test", Failure.SERVFAIL, times=1)
    assert dns.query.udp(query, host, port=int(port), timeout=5).rcode() == dns.rcode.SERVFAIL
    sandbox.control.fail_name("_atproto.alice.test", Failure.SILENCE)
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(query, host, port=int(port), timeout=0.2)
    assert sandbox.control.name_queries("_atproto.alice.test") == 4


def test_requests_in_one_segment_are_answered_in_order(sandbox: SandboxProcess) -> None:
    port = urlsplit(sandbox.plc_url).port
    request = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
        connection.sendall(request % (b"_health", b"") + request % (b"did:plc:x", b"Connection: close\r\n"))
        with connection.makefile("rb") as answers:
            received = answers.read()
    assert received.index(b"HTTP/1.1 200") < received.index(b"HTTP/1.1 404")


def test_what_is_not_http_is_refused(sandbox: SandboxProcess) -> None:
    port = urlsplit(sandbox.pds_url).port
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 nonsense\r\n\r\n")
        with connection.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400")


def test_every_port_is_on_loopback_only(sandbox: SandboxProcess) -> None:
    listening = {found.laddr.ip for found in psutil.Process(sandbox.pid).net_connections() if not found.raddr}
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals, tmp_path: Any) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "sandbox", "--ready-file", str(ready)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == ready.read_text()
        running.send_signal(number)
        _, errors = running.communicate(timeout=DEADLINE_SECONDS)
    assert (running.returncode, errors) == (0, "")


def test_it_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent:
        command = [sys.executable, "-m", "sandbox", "--parent-pid", str(parent.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            assert running.stdout.readline()
            parent.communicate(b"\n")
            assert running.wait(DEADLINE_SECONDS) == 0


def test_a_control_client_of_nobody_fails_at_once() -> None:
    with pytest.raises(OSError):
        ControlClient("http://127.0.0.1:9").count()
