"""The DNS of a case: real messages through the real resolver, and no socket."""

from collections.abc import Iterator, Mapping

import dns.message
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.rrset
from dns.rdataclass import IN
from dns.rdatatype import AAAA, TXT, A, RdataType
from dns.rdtypes.ANY.TXT import TXT as TxtRecord  # noqa: N811 - a class, though it reads like a constant

from tests.hostile.case import Addresses, Dns, Texts, Turns, in_turn
from worker.egress import DnsResolver


class Zone(dns.nameserver.Nameserver):
    """A nameserver for everything, with no time to live: each question may be answered differently."""

    def __init__(self, names: Mapping[str, Addresses | Turns[Addresses]], texts: Mapping[str, Texts | Dns]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names: dict[str, Iterator[Addresses]] = {name: in_turn(value) for name, value in names.items()}
        self._texts = texts
        self._latest: dict[str, Addresses] = {}

    def __str__(self) -> str:
        return "zone"

    def kind(self) -> str:
        return "zone"

    def is_always_max_size(self) -> bool:
        return True

    def answer_nameserver(self) -> str:
        return "zone"

    def answer_port(self) -> int:
        return 53

    def query(self, request: dns.message.QueryMessage, *_: object, **__: object) -> dns.message.Message:
        [question] = request.question
        name = question.name.to_text(omit_final_dot=True).lower()
        answer = dns.message.make_response(request)
        records = self._records(name, question.rdtype)
        if isinstance(records, Dns):
            answer.set_rcode(records.value)
        elif records:
            answer.answer.append(dns.rrset.from_rdata_list(question.name, 0, records))
        return dns.message.from_wire(answer.to_wire(max_size=65535))

    def _records(self, name: str, kind: RdataType) -> list[dns.rdata.Rdata] | Dns:
        if kind == TXT:
            texts = self._texts.get(name, () if name in self._names else Dns.NXDOMAIN)
            return texts if isinstance(texts, Dns) else [TxtRecord(IN, TXT, strings) for strings in texts]
        if name not in self._names:
            return Dns.NXDOMAIN
        if kind == A:  # asked first; the AAAA records belong to the same turn
            self._latest[name] = next(self._names[name])
        return [dns.rdata.from_text(IN, kind, a) for a in self._latest[name] if (":" in a) is (kind == AAAA)]


class ZoneResolver(DnsResolver):
    """The resolver of production, asking the zone of a case."""

    def __init__(self, zone: Zone) -> None:
        super().__init__(("127.0.0.1:53",))
        self._client.nameservers = [zone]
