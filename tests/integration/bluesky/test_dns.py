"""Handles through a real DNS server."""

import time

import pytest

from connections.errors import HandleNotFound, UpstreamFailed
from sandbox.client import ControlClient, SandboxAccount
from sandbox.dns import Failure
from sandbox.process import SandboxProcess
from tests.integration.bluesky.conftest import Connect, Within
from worker.egress import DnsResolver, NameUnavailable, NoSuchName
from worker.egress.resolver import MAX_ADDRESSES

RECORD = "_atproto.carol.sandbox.dev"


def test_a_record_of_several_strings_is_one(connect: Connect, control: ControlClient, carol: SandboxAccount) -> None:
    control.put_name(RECORD, TXT=[f'"did={carol.did[:9]}" "{carol.did[9:]}"', '"unrelated"'])
    assert connect("carol.sandbox.dev", carol.app_password).external_id == carol.did


def test_two_dids_are_a_failure(connect: Connect, control: ControlClient, carol: SandboxAccount) -> None:
    control.put_name(RECORD, TXT=[f'"did={carol.did}"', '"did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"'])
    with pytest.raises(HandleNotFound):
        connect("carol.sandbox.dev", carol.app_password)


def test_no_such_name_is_final(connect: Connect, control: ControlClient, carol: SandboxAccount) -> None:
    control.remove_name(RECORD)
    control.remove_name("carol.sandbox.dev")
    with pytest.raises(HandleNotFound):
        connect("carol.sandbox.dev", carol.app_password)


@pytest.mark.parametrize("failure", [Failure.SERVFAIL, Failure.SILENCE])
def test_a_failing_dns_is_temporary_and_in_time(
    connect: Connect,
    control: ControlClient,
    carol: SandboxAccount,
    failure: Failure,
    within: Within,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One lookup could take so long, so a silence that no deadline ends lasts far longer than the bound.
    monkeypatch.setattr("worker.egress.resolver.LOOKUP_SECONDS", 30.0)
    control.fail_name(RECORD, failure)
    control.fail_name("carol.sandbox.dev", failure)
    within(10)
    with pytest.raises(UpstreamFailed):
        connect("carol.sandbox.dev", carol.app_password, seconds=2)


def test_addresses_are_asked_once_while_their_records_last(sandbox: SandboxProcess, control: ControlClient) -> None:
    control.put_name("host.sandbox.dev", A=["192.0.2.1"], AAAA=["2001:db8::1"])
    resolver = DnsResolver((sandbox.dns_address,))
    for _ in range(2):
        assert resolver.addresses("host.sandbox.dev", deadline=time.monotonic() + 2) == ("192.0.2.1", "2001:db8::1")
    assert control.name_queries("host.sandbox.dev") == 2  # one for each kind


def test_a_name_with_more_addresses_than_a_host_can_need_is_refused(
    sandbox: SandboxProcess, control: ControlClient
) -> None:
    control.put_name("many.sandbox.dev", A=[f"192.0.2.{number}" for number in range(MAX_ADDRESSES + 1)])
    with pytest.raises(NameUnavailable, match="more addresses"):
        DnsResolver((sandbox.dns_address,)).addresses("many.sandbox.dev", deadline=time.monotonic() + 4)


def test_silence_and_absence_differ(sandbox: SandboxProcess, control: ControlClient) -> None:
    control.fail_name("silent.sandbox.dev", Failure.SERVFAIL)
    resolver = DnsResolver((sandbox.dns_address,))
    with pytest.raises(NameUnavailable):
        resolver.addresses("silent.sandbox.dev", deadline=time.monotonic() + 1)
    with pytest.raises(NoSuchName):
        resolver.addresses("absent.sandbox.dev", deadline=time.monotonic() + 1)
    assert resolver.texts("absent.sandbox.dev", deadline=time.monotonic() + 1) == ()
