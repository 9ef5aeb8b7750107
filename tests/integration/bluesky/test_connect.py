"""Every outcome of a connect, as a caller of the platform sees it."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from connections.errors import (
    AccountUnavailable,
    AlreadyConnected,
    CredentialsRejected,
    HandleMismatch,
    HandleNotFound,
    HostNotAllowed,
    IdentityUnusable,
    InvalidIdentity,
    MainPasswordRejected,
    UpstreamFailed,
    UpstreamRateLimited,
)
from sandbox.client import ControlClient, SandboxAccount
from sandbox.faults import (
    DidDocElsewhere,
    Drip,
    Drop,
    Garbage,
    GzipBomb,
    Huge,
    RateLimited,
    Redirect,
    Status,
    WrongDid,
)
from sandbox.message import Part
from sandbox.plc import did_document
from sandbox.process import SandboxProcess
from tests.integration.bluesky.conftest import Connect, Within
from worker.platforms.bluesky.adapter import Bluesky
from worker.platforms.bluesky.errors import RATE_LIMITED_SECONDS
from worker.platforms.bluesky.lexicon import CREATE_SESSION, DELETE_SESSION, GET_REPO_STATUS

NOBODY = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


class TestSuccess:
    def test_connects_and_keeps_one_session(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount, sandbox: SandboxProcess
    ) -> None:
        account = connect("alice.test", alice.app_password)
        assert (account.external_id, account.name, account.host) == (alice.did, "alice.test", sandbox.pds_url)
        assert control.count(CREATE_SESSION) == control.open_sessions(alice.did) == 1

    def test_logs_in_as_the_did_however_the_handle_was_spelled(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        connect(" @Alice.TEST ", alice.app_password)
        assert control.count(CREATE_SESSION, identifier=alice.did) == 1

    def test_a_did_brings_the_handle_it_proves(self, connect: Connect, alice: SandboxAccount) -> None:
        assert connect(alice.did, alice.app_password).name == "alice.test"

    def test_a_did_whose_handle_does_not_point_back_has_no_name(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount, sandbox: SandboxProcess
    ) -> None:
        control.put_document(alice.did, did_document(alice.did, "nobody.test", sandbox.pds_url))
        assert connect(alice.did, alice.app_password).name is None

    def test_a_handle_on_its_own_domain_is_found_by_the_dns(self, connect: Connect, carol: SandboxAccount) -> None:
        assert connect("carol.sandbox.dev", carol.app_password).external_id == carol.did

    def test_blanks_around_an_app_password_do_no_harm(self, connect: Connect, alice: SandboxAccount) -> None:
        assert connect("alice.test", f"  {alice.app_password}\n").external_id == alice.did

    def test_a_session_may_carry_the_document_as_hosted_ones_do(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        control.did_doc(included=True)
        assert connect("alice.test", alice.app_password).external_id == alice.did

    def test_many_at_once(self, connect: Connect, control: ControlClient) -> None:
        accounts = [control.create_account(f"many{number}.test") for number in range(64)]
        with ThreadPoolExecutor(16) as threads:
            connected = threads.map(lambda account: connect(account.handle, account.app_password), accounts)
            assert [account.external_id for account in connected] == [account.did for account in accounts]
        assert control.count(CREATE_SESSION) == len(accounts)


class TestRefusals:
    def test_wrong_password(self, connect: Connect, control: ControlClient, alice: SandboxAccount) -> None:
        with pytest.raises(CredentialsRejected) as caught:
            connect("alice.test", "aaaa-aaaa-aaaa-aaaa")
        assert caught.value.provider is not None
        assert (caught.value.provider.http_status, caught.value.provider.code) == (401, "AuthenticationRequired")
        assert caught.value.hint is None
        assert control.count(CREATE_SESSION) == 1

    def test_a_password_of_unusual_shape_gets_a_hint(self, connect: Connect, alice: SandboxAccount) -> None:
        with pytest.raises(CredentialsRejected) as caught:
            connect("alice.test", "hunter2")
        assert caught.value.hint is not None

    @pytest.mark.parametrize("handle", ["nobody.test", "nobody.sandbox.dev"])
    def test_unknown_handle_costs_no_login(self, connect: Connect, control: ControlClient, handle: str) -> None:
        with pytest.raises(HandleNotFound):
            connect(handle, "aaaa-aaaa-aaaa-aaaa")
        assert control.count(CREATE_SESSION) == 0

    def test_main_password_is_refused_and_its_session_ended(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        with pytest.raises(MainPasswordRejected):
            connect("alice.test", alice.password)
        assert control.count(DELETE_SESSION) == 1
        assert control.open_sessions(alice.did) == 0

    def test_email_code_wanted_is_a_main_password_and_sends_one_mail(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        control.require_email_code(alice.did)
        with pytest.raises(MainPasswordRejected):
            connect("alice.test", alice.password)
        assert control.mails_sent(alice.did) == 1

    @pytest.mark.parametrize("handle", ["dave.test", "dave.sandbox.dev"])
    def test_deactivated(self, connect: Connect, control: ControlClient, handle: str) -> None:
        dave = control.create_account(handle)
        control.deactivate(dave.did)
        with pytest.raises(AccountUnavailable):
            connect(handle, dave.app_password)
        assert control.open_sessions(dave.did) == 0

    @pytest.mark.parametrize("handle", ["dave.test", "dave.sandbox.dev"])
    def test_taken_down_with_main_password(self, connect: Connect, control: ControlClient, handle: str) -> None:
        dave = control.create_account(handle)
        control.take_down(dave.did)
        with pytest.raises(AccountUnavailable):
            connect(handle, dave.password)

    def test_taken_down_with_app_password(
        self, connect: Connect, control: ControlClient, carol: SandboxAccount
    ) -> None:
        control.take_down(carol.did)
        with pytest.raises(AccountUnavailable):
            connect("carol.sandbox.dev", carol.app_password)
        assert control.count(CREATE_SESSION) == control.count(GET_REPO_STATUS) == 1

    def test_a_handle_that_its_server_hides_is_explained_without_a_login(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        control.take_down(alice.did)
        with pytest.raises(AccountUnavailable):
            connect("alice.test", alice.app_password)
        assert control.count(CREATE_SESSION) == 0

    def test_already_connected_costs_no_login(
        self, bluesky: Bluesky, control: ControlClient, alice: SandboxAccount
    ) -> None:
        with pytest.raises(AlreadyConnected):
            Connect(bluesky, frozenset({alice.did}))("alice.test", alice.app_password)
        assert control.count(CREATE_SESSION) == 0

    def test_an_account_that_another_server_claims_to_have_logged_in(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        control.order(WrongDid(method=CREATE_SESSION))
        with pytest.raises(IdentityUnusable):
            connect("alice.test", alice.app_password)
        assert control.count(DELETE_SESSION) == 1
        assert control.open_sessions(alice.did) == 0

    def test_a_session_whose_document_names_another_server(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        control.order(DidDocElsewhere(pds="https://elsewhere.sandbox.dev"))
        with pytest.raises(IdentityUnusable):
            connect("alice.test", alice.app_password)
        assert control.count(CREATE_SESSION) == control.count(DELETE_SESSION) == 1
        assert control.open_sessions(alice.did) == 0


class TestIdentity:
    def test_document_that_does_not_claim_the_handle(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount, sandbox: SandboxProcess
    ) -> None:
        control.put_document(alice.did, did_document(alice.did, "someone.else.test", sandbox.pds_url))
        with pytest.raises(HandleMismatch):
            connect("alice.test", alice.app_password)
        assert control.count(CREATE_SESSION) == 0

    def test_document_of_another_did(self, connect: Connect, control: ControlClient, alice: SandboxAccount) -> None:
        control.order(WrongDid(host="plc"))
        with pytest.raises(IdentityUnusable):
            connect("alice.test", alice.app_password)

    def test_tombstoned(self, connect: Connect, control: ControlClient, alice: SandboxAccount) -> None:
        control.tombstone(alice.did)
        with pytest.raises(IdentityUnusable):
            connect("alice.test", alice.app_password)

    def test_unknown_did(self, connect: Connect, control: ControlClient) -> None:
        with pytest.raises(IdentityUnusable):
            connect(NOBODY, "aaaa-aaaa-aaaa-aaaa")

    @pytest.mark.parametrize(
        ("endpoint", "error"),
        [
            ("http://169.254.169.254/latest/meta-data", IdentityUnusable),
            ("http://169.254.169.254", IdentityUnusable),
            ("https://169.254.169.254", HostNotAllowed),
            ("https://[::ffff:10.0.0.1]", HostNotAllowed),
            ("https://localhost", HostNotAllowed),
            ("https://inside.sandbox.dev", HostNotAllowed),
            ("https://nowhere.sandbox.dev", IdentityUnusable),
            ("https://0x7f.1", IdentityUnusable),
            ("https://xn--a.com", IdentityUnusable),
            ("http://localhost:1", IdentityUnusable),
            ("ftp://pds.sandbox.dev", IdentityUnusable),
            ("https://user:secret@pds.sandbox.dev", IdentityUnusable),
            ("https://pds.sandbox.dev/xrpc", IdentityUnusable),
            ("https://pds.sandbox.dev?x", IdentityUnusable),
            ("https://pds.sandbox.dev:99999", IdentityUnusable),
            ("", IdentityUnusable),
        ],
    )
    def test_endpoint_tricks(
        self,
        connect: Connect,
        control: ControlClient,
        carol: SandboxAccount,
        endpoint: str,
        error: type[InvalidIdentity],
    ) -> None:
        control.put_name("inside.sandbox.dev", A=["127.0.0.1"])
        control.put_document(carol.did, did_document(carol.did, "carol.sandbox.dev", endpoint))
        with pytest.raises(error):
            connect("carol.sandbox.dev", carol.app_password)
        assert control.count(CREATE_SESSION) == 0


class TestUpstreamTrouble:
    @pytest.mark.parametrize(
        "fault",
        [
            Status(method=CREATE_SESSION, status=503, error="ServiceUnavailable"),
            Status(method=CREATE_SESSION, status=502, error="UpstreamFailure"),
            Status(method=CREATE_SESSION, status=502, body="<html>bad gateway</html>"),
            Garbage(method=CREATE_SESSION, form="html"),
            Garbage(method=CREATE_SESSION, form="broken_json"),
            Garbage(method=CREATE_SESSION, form="wrong_types"),
            Garbage(method=CREATE_SESSION, form="not_an_object"),
            Garbage(method=CREATE_SESSION, form="empty"),
            Huge(method=CREATE_SESSION, size=8 * 1024 * 1024),
            GzipBomb(method=CREATE_SESSION, size=8 * 1024 * 1024),
            Drop(method=CREATE_SESSION),
            Drop(method=CREATE_SESSION, at=Part.HEADERS),
            Drop(method=CREATE_SESSION, at=Part.BODY),
            Status(host="plc", status=503),
            Garbage(host="plc"),
            Huge(host="plc", size=8 * 1024 * 1024),
        ],
        ids=repr,
    )
    def test_is_worth_another_try(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount, fault: Status
    ) -> None:
        control.order(fault)
        with pytest.raises(UpstreamFailed) as caught:
            connect("alice.test", alice.app_password)
        assert caught.value.provider is not None
        assert caught.value.provider.is_transient
        assert control.count(CREATE_SESSION) <= 1

    @pytest.mark.parametrize("part", [Part.HEADERS, Part.BODY])
    def test_a_drip_ends_at_the_deadline(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount, part: Part, within: Within
    ) -> None:
        # Bytes come often enough for every single read, and all of them would take a minute and more.
        control.order(Drip(method=CREATE_SESSION, part=part, interval=0.5))
        within(10)
        with pytest.raises(UpstreamFailed):
            connect("alice.test", alice.app_password, seconds=2)

    def test_rate_limit_says_when_to_come_back(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        control.order(RateLimited(method=CREATE_SESSION, reset=120))
        with pytest.raises(UpstreamRateLimited) as caught:
            connect("alice.test", alice.app_password)
        assert caught.value.retry_after == pytest.approx(120, abs=3)

    def test_rate_limit_of_another_bucket_says_nothing(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        control.order(RateLimited(method=CREATE_SESSION, reset=120, remaining="2900"))
        with pytest.raises(UpstreamRateLimited) as caught:
            connect("alice.test", alice.app_password)
        assert caught.value.retry_after == RATE_LIMITED_SECONDS

    @pytest.mark.parametrize("status", [307, 308])
    def test_the_password_follows_no_redirect(
        self, connect: Connect, control: ControlClient, alice: SandboxAccount, sandbox: SandboxProcess, status: int
    ) -> None:
        control.order(Redirect(method=CREATE_SESSION, to=f"{sandbox.pds_url}/elsewhere", status=status))
        with pytest.raises(UpstreamFailed):
            connect("alice.test", alice.app_password)
        assert control.count("/elsewhere") == 0


class TestEndSession:
    def test_ends_it_and_may_be_repeated(
        self, bluesky: Bluesky, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        account = connect("alice.test", alice.app_password)
        bluesky.end_session(account, deadline=time.monotonic() + 5)
        assert control.open_sessions(alice.did) == 0
        bluesky.end_session(account, deadline=time.monotonic() + 5)

    def test_an_unconfirmed_end_is_temporary(
        self, bluesky: Bluesky, connect: Connect, control: ControlClient, alice: SandboxAccount
    ) -> None:
        account = connect("alice.test", alice.app_password)
        control.order(Status(method=DELETE_SESSION, status=500))
        with pytest.raises(UpstreamFailed):
            bluesky.end_session(account, deadline=time.monotonic() + 5)
