"""Faults: everything an upstream can do wrong, ordered as data.

An order says where (`host`, `account`, `method`; what is left out matches everything), how often (`times`; without it,
until cancelled) and what. The first order that matches a request and is not used up decides the answer. Kinds:

Fault
 ├─ Status           another status, with an XRPC error or any body and headers
 │   └─ RateLimited  429 with chosen reset, remaining and retry-after, sane or garbage
 ├─ Garbage          200 that is HTML, broken JSON, JSON of wrong types, empty or binary
 ├─ Huge             200 with a body of many bytes
 ├─ GzipBomb         200 with few bytes that inflate to many
 ├─ Redirect         307 or 308 to another URL
 ├─ Delay            the usual answer, late
 ├─ Drip             the usual answer, a few bytes at a time
 ├─ Drop             the usual answer, cut off
 ├─ WrongDid         the usual answer with another DID in it
 └─ DidDocElsewhere  the usual session with a DID document that names another PDS

Taken down, deactivated and e-mail code are states of an account (`control`), not faults.
"""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, ClassVar

from sandbox.message import JSON_TYPE, Delivery, HeaderList, Part, Response, json_response
from sandbox.methods import SESSION_METHODS
from sandbox.plc import did_document

_CHUNK = 64 * 1024

Honest = Callable[[], Response]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What all kinds share. `account` is a DID, a handle or an identifier as sent; `method` an NSID or a path;
    `times` how many requests it spoils; `after` seconds pass before the answer."""

    kind: ClassVar[str]
    methods: ClassVar[frozenset[str] | None] = None
    """Those whose answers it can spoil; None for all."""

    host: str | None = None
    account: str | None = None
    method: str | None = None
    times: int | None = None
    after: float = 0.0

    def answer(self, honest: Honest) -> Response:
        """The spoiled answer; `honest()` performs the request and gives the usual one."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """The order as a JSON object, read back by `fault_from_json`."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Status(Fault):
    """Answer with `status` and an XRPC error, or with `body` verbatim when given."""

    kind = "status"

    status: int
    error: str = "InternalServerError"
    message: str = "Internal Server Error"
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, _honest: Honest) -> Response:
        headers = _header_list(self.headers)
        if self.body is not None:
            return Response(self.status, self.body.encode(), headers)
        return json_response(self.status, {"error": self.error, "message": self.message}, headers)


@dataclass(frozen=True, kw_only=True)
class RateLimited(Fault):
    """429. `reset` and `retry_after` are seconds from now, or a text to send verbatim; None leaves the header out."""

    kind = "rate_limited"

    reset: float | str | None = 300.0
    retry_after: float | str | None = None
    limit: str = "30"
    remaining: str = "0"
    policy: str = "30;w=300"

    def answer(self, _honest: Honest) -> Response:
        headers = {
            "RateLimit-Limit": self.limit,
            "RateLimit-Remaining": self.remaining,
            "RateLimit-Policy": self.policy,
        }
        if self.reset is not None:
            reset = self.reset
            # In the real time of whoever reads it, not in a sandbox's time that was moved forward.
            headers["RateLimit-Reset"] = reset if isinstance(reset, str) else str(int(time.time() + reset))
        if self.retry_after is not None:
            wait = self.retry_after
            headers["Retry-After"] = wait if isinstance(wait, str) else str(round(wait))
        body = {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}
        return json_response(429, body, _header_list(headers))


_GARBAGE: dict[str, tuple[bytes, bytes]] = {
    "html": (b"text/html", b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"),
    "broken_json": (JSON_TYPE[1], b'{"accessJwt": "eyJ0eXAiOiJhdCtqd3Qi'),
    "wrong_types": (
        JSON_TYPE[1],
        b'{"did":7,"handle":["x"],"accessJwt":null,"refreshJwt":{},"id":false,"service":"none","alsoKnownAs":1}',
    ),
    "not_an_object": (JSON_TYPE[1], b"[1,2,3]"),
    "empty": (JSON_TYPE[1], b""),
    "binary": (b"application/octet-stream", bytes(range(256))),
}


@dataclass(frozen=True, kw_only=True)
class Garbage(Fault):
    """200 with nonsense; `form` is html, broken_json, wrong_types, not_an_object, empty or binary."""

    kind = "garbage"

    form: str = "html"

    def __post_init__(self) -> None:
        if self.form not in _GARBAGE:
            raise ValueError(f"form is one of {', '.join(_GARBAGE)}")

    def answer(self, _honest: Honest) -> Response:
        content_type, body = _GARBAGE[self.form]
        return Response(200, body, [(b"Content-Type", content_type)])


@dataclass(frozen=True, kw_only=True)
class Huge(Fault):
    """200 with a JSON string of about `size` bytes, streamed."""

    kind = "huge"

    size: int = 64 * 1024 * 1024

    def answer(self, _honest: Honest) -> Response:
        return Response(200, _Padding(self.size), [JSON_TYPE])


@dataclass(frozen=True, kw_only=True)
class GzipBomb(Fault):
    """200 with a gzip body that inflates to a JSON string of about `size` bytes."""

    kind = "gzip_bomb"

    size: int = 256 * 1024 * 1024

    def answer(self, _honest: Honest) -> Response:
        return Response(200, _bomb(self.size), [JSON_TYPE, (b"Content-Encoding", b"gzip")])


@dataclass(frozen=True, kw_only=True)
class Redirect(Fault):
    """A redirect to `to`; 307 and 308 make a careless client send the password again."""

    kind = "redirect"

    to: str
    status: int = 307

    def answer(self, _honest: Honest) -> Response:
        return Response(self.status, b"", [(b"Location", self.to.encode())])


@dataclass(frozen=True, kw_only=True)
class Delay(Fault):
    """The usual answer after `after` seconds: what every kind can do, and this kind does nothing else."""

    kind = "delay"

    def answer(self, honest: Honest) -> Response:
        return honest()


@dataclass(frozen=True, kw_only=True)
class Drip(Fault):
    """The usual answer, from `part` (headers or body) on in steps of `step` bytes every `interval` seconds."""

    kind = "drip"

    part: Part = Part.BODY
    step: int = 1
    interval: float = 0.05

    def answer(self, honest: Honest) -> Response:
        response = honest()
        how = replace(response.delivery, drip_from=Part(self.part), drip_bytes=self.step, drip_interval=self.interval)
        response.delivery = how
        return response


@dataclass(frozen=True, kw_only=True)
class Drop(Fault):
    """The connection closes `at`: before any answer, with nothing done, or half-way through headers or body, when
    everything has been done."""

    kind = "drop"

    at: Part = Part.BEFORE

    def answer(self, honest: Honest) -> Response:
        if Part(self.at) is Part.BEFORE:
            return Response(0, delivery=Delivery(drop_at=Part.BEFORE))
        response = honest()
        response.delivery = replace(response.delivery, drop_at=Part(self.at))
        return response


@dataclass(frozen=True, kw_only=True)
class WrongDid(Fault):
    """The usual answer with `did` in place of the account's: in `did` of a session, in `id` of a document."""

    kind = "wrong_did"

    did: str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"

    def answer(self, honest: Honest) -> Response:
        return _edited(honest(), lambda body: {**body, ("did" if "did" in body else "id"): self.did})


@dataclass(frozen=True, kw_only=True)
class DidDocElsewhere(Fault):
    """The usual session, with a DID document whose PDS is `pds`. Strikes nothing but methods that answer a session."""

    kind = "did_doc_elsewhere"
    methods = SESSION_METHODS

    pds: str

    def answer(self, honest: Honest) -> Response:
        def edit(body: dict[str, Any]) -> dict[str, Any]:
            return {**body, "didDoc": did_document(body["did"], body["handle"], self.pds)}

        return _edited(honest(), edit)


_KINDS: dict[str, type[Fault]] = {
    kind.kind: kind
    for kind in (
        Status,
        RateLimited,
        Garbage,
        Huge,
        GzipBomb,
        Redirect,
        Delay,
        Drip,
        Drop,
        WrongDid,
        DidDocElsewhere,
    )
}


def fault_from_json(value: dict[str, Any]) -> Fault:
    """The fault that `Fault.to_json` wrote. Raises ValueError for an unknown kind or key, or a bad value."""
    rest = dict(value)
    kind = _KINDS.get(rest.pop("kind", ""))
    if kind is None:
        raise ValueError(f"kind is one of {', '.join(_KINDS)}")
    unknown = rest.keys() - {known.name for known in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.kind} knows no {', '.join(sorted(unknown))}")
    try:
        return kind(**rest)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _header_list(headers: dict[str, str]) -> HeaderList:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def _edited(response: Response, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    """A successful JSON answer with another body; a refusal stays what it is."""
    if response.status == 200 and isinstance(response.body, bytes) and response.body:
        response.body = json.dumps(edit(json.loads(response.body)), separators=(",", ":")).encode()
    return response


class _Padding:
    """A JSON string of about `size` bytes, made while it is sent."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        chunk = b"a" * _CHUNK
        yield b'"'
        for _ in range(max(1, self._size // _CHUNK)):
            yield chunk
        yield b'"'


@lru_cache(maxsize=2)
def _bomb(size: int) -> bytes:
    compressor = zlib.compressobj(level=9, wbits=31)
    return b"".join(compressor.compress(piece) for piece in _Padding(size)) + compressor.flush()
