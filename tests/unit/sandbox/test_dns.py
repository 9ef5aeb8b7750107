"""The DNS table, asked without a network."""

import dns.flags
import dns.message
import dns.rcode
import pytest

from sandbox.dns import DnsServer, Failure, Zone

NAME = "_atproto.alice.test"


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    zone.put(NAME, {"TXT": ['"did=did:plc:alice"']})
    return zone


def ask(zone: Zone, name: str = NAME, kind: str = "TXT") -> dns.message.Message | None:
    return zone.answer(dns.message.make_query(name, kind))


def code(answer: dns.message.Message | None) -> str:
    return "silence" if answer is None else dns.rcode.to_text(answer.rcode())


def test_records_are_found_in_any_case(zone: Zone) -> None:
    answer = ask(zone, NAME.upper())
    assert answer is not None
    assert answer.answer[0][0].to_text() == '"did=did:plc:alice"'


def test_an_unknown_name_and_a_known_one_without_such_records(zone: Zone) -> None:
    assert code(ask(zone, "_atproto.bob.test")) == "NXDOMAIN"
    empty = ask(zone, kind="A")
    assert empty is not None
    assert (code(empty), empty.answer) == ("NOERROR", [])


@pytest.mark.parametrize("failure", Failure)
def test_a_name_fails_so_often_and_then_answers(zone: Zone, failure: Failure) -> None:
    zone.fail(NAME, failure, times=2)
    codes = [code(ask(zone)) for _ in range(3)]
    assert codes == [failure if failure is Failure.SILENCE else failure.upper()] * 2 + ["NOERROR"]
    assert zone.asked(NAME) == 3


def test_a_name_fails_until_it_is_replaced(zone: Zone) -> None:
    zone.fail(NAME, Failure.SERVFAIL)
    assert [code(ask(zone)) for _ in range(3)] == ["SERVFAIL"] * 3
    zone.put(NAME, {"TXT": ["fine"]})
    assert code(ask(zone)) == "NOERROR"


def test_what_fits_no_datagram_is_truncated(zone: Zone) -> None:
    zone.put(NAME, {"TXT": ['"' + "x" * 250 + f'{number}"' for number in range(3)]})
    server, query = DnsServer(zone), dns.message.make_query(NAME, "TXT", use_edns=False)
    short = server.respond(query.to_wire(), 512)
    whole = server.respond(query.to_wire(), 65535)
    assert short is not None
    assert whole is not None
    assert dns.message.from_wire(short).flags & dns.flags.TC
    assert len(dns.message.from_wire(whole).answer[0]) == 3


def test_garbage_gets_no_answer(zone: Zone) -> None:
    assert DnsServer(zone).respond(b"garbage", 512) is None
