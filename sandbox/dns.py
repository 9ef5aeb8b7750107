"""A DNS server on loopback, UDP and TCP, that answers TXT, A and AAAA from a table.

Names can be told to fail: NXDOMAIN and SERVFAIL as answers, silence as none. Source: RFC 1035, RFC 7766.
"""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sandbox.server import LOOPBACK

_UDP_BYTES = 512
_TTL_SECONDS = 60


class Failure(StrEnum):
    """How a name fails."""

    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    SILENCE = "silence"


@dataclass(slots=True)
class Name:
    """What one name answers: texts by record type (TXT, A, AAAA), unless it fails `times` times, or for ever."""

    records: dict[str, list[str]] = field(default_factory=dict)
    failure: Failure | None = None
    times: int | None = None
    asked: int = 0

    def fails(self) -> Failure | None:
        """How this query fails, using up one of `times`."""
        if self.failure is None or self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.failure


class Zone:
    """The table. Names are kept in lower case without the final dot; unknown ones are NXDOMAIN."""

    def __init__(self) -> None:
        self._names: dict[str, Name] = {}
        self.clear()

    def clear(self) -> None:
        """Forget every name but localhost."""
        self._names.clear()
        self.put("localhost", {"A": [LOOPBACK]})

    def put(self, name: str, records: dict[str, list[str]]) -> None:
        """Replace a name's records. A TXT text is in quotes when it holds blanks, several strings side by side."""
        self._names[_key(name)] = Name(records)

    def add(self, name: str, record_type: str, text: str) -> None:
        """Add one record to a name."""
        self._names.setdefault(_key(name), Name()).records.setdefault(record_type, []).append(text)

    def fail(self, name: str, failure: Failure, times: int | None = None) -> None:
        """Let a name fail, known or not."""
        entry = self._names.setdefault(_key(name), Name())
        entry.failure, entry.times = failure, times

    def remove(self, name: str) -> None:
        """Forget a name."""
        self._names.pop(_key(name), None)

    def asked(self, name: str) -> int:
        """How many queries a known name has had."""
        entry = self._names.get(_key(name))
        return 0 if entry is None else entry.asked

    def answer(self, query: dns.message.Message) -> dns.message.Message | None:
        """The response to a query, or None for silence."""
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        question = query.question[0]
        entry = self._names.get(_key(question.name.to_text()))
        if entry is not None:
            entry.asked += 1
        failure = Failure.NXDOMAIN if entry is None else entry.fails()
        if failure is Failure.SILENCE:
            return None
        if entry is None or failure is Failure.NXDOMAIN:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif failure is Failure.SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            texts = entry.records.get(dns.rdatatype.to_text(question.rdtype), [])
            if texts:
                found = dns.rrset.from_text_list(question.name, _TTL_SECONDS, dns.rdataclass.IN, question.rdtype, texts)
                response.answer.append(found)
        return response


class DnsServer:
    """Serves a zone; after `start` the attribute `port` holds the port of both UDP and TCP."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.port = 0
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on `port`, or on a free one when it is 0. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, LOOPBACK, port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(LOOPBACK, self.port))

    async def close(self) -> None:
        """Stop listening."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    def respond(self, wire: bytes, max_bytes: int) -> bytes | None:
        """The response to a query in wire format, truncated over `max_bytes`; None for silence or garbage."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if not query.question:
            return None
        response = self.zone.answer(query)
        if response is None:
            return None
        try:
            return response.to_wire(max_size=max(max_bytes, query.payload))
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                wire = self.respond(await reader.readexactly(length), 65535)
                if wire is not None:
                    writer.write(len(wire).to_bytes(2, "big") + wire)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = self._server.respond(data, _UDP_BYTES)
        if wire is not None and self._transport is not None:
            self._transport.sendto(wire, addr)


def _key(name: str) -> str:
    return name.lower().removesuffix(".")
