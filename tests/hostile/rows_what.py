"""What a host answers: too slowly, too much, packed, or nothing that makes sense."""

import gzip
import json
import time
import zlib
from dataclasses import replace

from tests.hostile.case import (
    CONNECTED,
    DIRECTORY,
    FAILED,
    LIMITED,
    MAIN_PASSWORD,
    NOT_FOUND,
    REJECTED,
    SITE_ONLY,
    TO_PDS,
    WEB_ONLY,
    Case,
    Expected,
    Group,
)
from tests.hostile.honest import (
    CREATE,
    DELETE,
    DID_JSON,
    DID_WEB,
    DOCUMENT,
    REFRESH_TOKEN,
    SITE,
    opened,
    session,
)
from tests.hostile.rows_who import records
from tests.hostile.stack import ATTEMPTS
from tests.hostile.wire import CHUNK, Drip, Flood, HangUp, Reply, Silence, as_json, content, head, raw

OK_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = OK_JSON + b"transfer-encoding: chunked\r\n\r\n"
LONG = OK_JSON + b"content-length: 100000\r\n\r\n"

DRIPS: dict[str, Reply] = {
    "headers": raw(OK_JSON, Drip(b"x-a: b\r\n")),
    "one header that never ends": raw(OK_JSON + b"x-a: ", Drip(b"a")),
    "body": raw(LONG, Drip(b" ")),
    "chunks": raw(CHUNKED, Drip(b"1\r\n \r\n")),
}

SLOW: dict[str, Reply] = {
    "silence": raw(Silence()),
    "silence behind the headers": raw(LONG, Silence()),
    "a chunk's size that never ends": raw(CHUNKED, Drip(b"0")),
    "trailers": raw(CHUNKED + b"0\r\n", Drip(b"x-a: b\r\n")),
    "interim answers": raw(Drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.001)),
}

SPACES = b" " * CHUNK
ENDLESS = 160_000  # times 64 KiB: ten gigabytes

GIANTS: dict[str, Reply] = {
    "a body with its length": raw(OK_JSON + b"content-length: 10485760000\r\n\r\n", Flood(SPACES, ENDLESS)),
    "a body without a length": raw(OK_JSON + b"connection: close\r\n\r\n", Flood(SPACES, ENDLESS), HangUp()),
    "chunks": raw(CHUNKED, Flood(b"10000\r\n" + SPACES + b"\r\n", ENDLESS)),
    "chunks of one byte": raw(CHUNKED, Flood(b"1\r\n \r\n" * 1000, ENDLESS)),
    "one chunk": raw(CHUNKED + b"fffffffffff\r\n", Flood(SPACES, ENDLESS)),
    "a chunk's extension": raw(CHUNKED + b"1;", Flood(b"a" * CHUNK, ENDLESS)),
    "headers": raw(OK_JSON, Flood(b"x-a: b\r\n" * 1000, ENDLESS)),
    "one header": raw(OK_JSON + b"x-a: ", Flood(b"a" * CHUNK, ENDLESS)),
    "a status line": raw(b"HTTP/1.1 200 ", Flood(b"a" * CHUNK, ENDLESS)),
    "trailers": raw(CHUNKED + b"0\r\n", Flood(b"x-a: b\r\n" * 1000, ENDLESS)),
    "interim answers": raw(Flood(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, ENDLESS)),
    "a refusal": raw(head(401, {"connection": "close"}), Flood(SPACES, ENDLESS), HangUp()),
}

EXPANDED = bytes(16 * 1024 * 1024)
GZIPPED = gzip.compress(EXPANDED, mtime=0)
DEFLATED = zlib.compress(EXPANDED)
LOGIN = json.dumps(session()).encode()

# Packed although identity was asked for. Which packing it truly is does not matter: none is unpacked.
BOMBS: dict[str, Reply] = {
    "gzip": content(200, GZIPPED, content_encoding="gzip"),
    "x-gzip": content(200, GZIPPED, content_encoding="X-GZip"),
    "deflate": content(200, DEFLATED, content_encoding="deflate"),
    "br": content(200, DEFLATED, content_encoding="br"),
    "zstd": content(200, DEFLATED, content_encoding="zstd"),
    "stacked": content(200, gzip.compress(GZIPPED, mtime=0), content_encoding="gzip, gzip"),
    "stacked ten deep": content(200, GZIPPED, content_encoding=", ".join(["gzip"] * 10)),
    "behind identity": content(200, GZIPPED, content_encoding="identity, gzip"),
    "in two headers": raw(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-encoding: gzip\r\n"
        b"content-length: %d\r\n\r\n" % len(GZIPPED) + GZIPPED
    ),
    "as a transfer encoding": raw(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n%x\r\n" % len(GZIPPED) + GZIPPED + b"\r\n0\r\n\r\n"
    ),
    "unannounced": content(200, GZIPPED),
    "in a refusal": content(401, GZIPPED, content_encoding="gzip"),
}

FAR = str(10**30)
SOON = str(int(time.time()) + 3600)


GONE = "Thu, 01 Jan 1970 00:00:00 GMT"


def limited(**headers: str) -> Reply:
    return as_json(429, {"error": "RateLimitExceeded", "message": "m"}, **headers)


def spoilt(reply: Reply) -> Reply:
    """A session's answer that makes no sense, so that its session must be ended."""
    return replace(reply, refresh_token=REFRESH_TOKEN)


# Each opens a session that is good for nothing, and must be ended.
USELESS: dict[str, Reply] = {
    "no access token": spoilt(as_json(200, session(accessJwt=...))),
    "an access token of another type": spoilt(as_json(200, session(accessJwt=["a"]))),
    "an access token with newlines": spoilt(as_json(200, session(accessJwt="a\r\nx: y"))),
    "no DID": spoilt(as_json(200, session(did=...))),
    "cut short": spoilt(content(200, LOGIN.replace(b'"active": true}', b'"act'))),
    "inside a list": spoilt(as_json(200, [session()])),
    "not 200 but 201": spoilt(as_json(201, session())),
}

GARBAGE: dict[str, tuple[Reply, Expected]] = {
    "200, HTML": (content(200, b"<html>welcome</html>"), FAILED),
    "200, nothing": (content(200, b""), FAILED),
    "200, cut short": (content(200, LOGIN[:40]), FAILED),
    "200, text": (content(200, b"ok"), FAILED),
    "200, a number": (content(200, b"1e999"), FAILED),
    "200, an array": (content(200, b"[]"), FAILED),
    "200, null": (content(200, b"null"), FAILED),
    "200, binary": (content(200, bytes(range(256)) * 10), FAILED),
    "200, wrong types": (as_json(200, session(accessJwt=["a"], refreshJwt={})), FAILED),
    "200, no tokens": (as_json(200, session(accessJwt="", refreshJwt="")), FAILED),
    "200, tokens with newlines": (as_json(200, session(accessJwt="a\r\nx: y", refreshJwt="a\nb")), FAILED),
    "204": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), FAILED),
    "206": (content(206, b"{}", content_range="bytes 0-1/100"), FAILED),
    "101": (raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"), FAILED),
    "304": (raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), FAILED),
    "400, HTML": (content(400, b"<html>bad request</html>"), FAILED),
    "400, nothing": (content(400, b""), FAILED),
    "400, an error that is no name": (as_json(400, {"error": "<script>" * 100}), FAILED),
    "400, an error that is a list": (as_json(400, {"error": ["AuthenticationRequired"]}), FAILED),
    "400, words not known": (as_json(400, {"error": "SomethingNew"}), REJECTED),
    "401, HTML": (content(401, b"<html>log in</html>"), FAILED),
    "401": (as_json(401, {"error": "AuthenticationRequired", "message": "Invalid"}), REJECTED),
    "401, deep nesting": (content(401, b"[" * 100_000), FAILED),
    "403, words not known": (as_json(403, {"error": "Forbidden"}), REJECTED),
    "404, HTML": (content(404, b"<html>not found</html>"), FAILED),
    "418, JSON": (as_json(418, {"error": "Teapot"}), FAILED),
    "503, HTML": (content(503, b"<html>busy</html>"), FAILED),
    "599, nothing": (content(599, b""), FAILED),
    "another protocol": (raw(b"SSH-2.0-OpenSSH_9.6\r\n", HangUp()), FAILED),
    "a TLS alert": (raw(b"\x15\x03\x01\x00\x02\x02\x28", HangUp()), FAILED),
    "HTTP/2": (raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), HangUp()), FAILED),
    "HTTP/9.9": (raw(b"HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n", HangUp()), FAILED),
    "a status of letters": (raw(b"HTTP/1.1 OK 200\r\n\r\n", HangUp()), FAILED),
    "a status of four digits": (raw(b"HTTP/1.1 2000 OK\r\n\r\n", HangUp()), FAILED),
    "a header without a colon": (raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", HangUp()), FAILED),
    "NUL in a header": (raw(b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n", HangUp()), FAILED),
    "DEL in a header": (raw(b"HTTP/1.1 200 OK\r\nx: a\x7fb\r\n\r\n", HangUp()), FAILED),
    "two lengths": (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} "), FAILED),
    "a negative length": (raw(b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}"), FAILED),
    "fewer bytes than said": (raw(LONG + LOGIN, HangUp()), FAILED),
    "a chunk's size of letters": (raw(CHUNKED + b"zz\r\n"), FAILED),
    "no last chunk": (raw(CHUNKED + b"2\r\n{}\r\n", HangUp()), FAILED),
    "nothing at all": (raw(HangUp()), FAILED),
}

RATE_LIMITS: dict[str, Reply] = {
    "HTML": content(429, b"<html>slow down</html>"),
    "no headers": limited(),
    "nothing": content(429, b""),
    "negative": limited(retry_after="-5"),
    "huge": limited(retry_after=FAR),
    "no number": limited(retry_after="soon"),
    "not a number": limited(retry_after="NaN"),
    "a fraction": limited(retry_after="0.0001"),
    "a date that is none": limited(retry_after="Fri, 99 Foo 99999 99:99:99 GMT"),
    "an hour": limited(retry_after="3600"),
    "a reset in an hour": limited(ratelimit_reset=SOON, ratelimit_remaining="0"),
    "a garbage reset": limited(ratelimit_reset="\x80\xff", ratelimit_remaining="x", ratelimit_policy=";;;"),
    "a reset beyond time": limited(ratelimit_reset=FAR, ratelimit_remaining="0"),
    "other digits": limited(ratelimit_reset="\u00b2\u00b3"),
}


def login(group: Group, name: str, reply: Reply, expected: Expected = FAILED, *, logins: int | None = None) -> Case:
    """An answer that says nothing of the account is asked for again, one that does is not."""
    logins = logins or (ATTEMPTS if expected is FAILED else 1)
    return Case(group, f"createSession: {name}", expected, TO_PDS, replies={CREATE: reply}, logins=logins)


def directory(group: Group, name: str, reply: Reply, expected: Expected = FAILED) -> Case:
    return Case(group, f"directory: {name}", expected, DIRECTORY, replies={DOCUMENT: reply})


def did_json(group: Group, name: str, reply: Reply, expected: Expected = FAILED) -> Case:
    return Case(group, f"did.json: {name}", expected, WEB_ONLY, DID_WEB, replies={DID_JSON: reply})


def site(group: Group, name: str, reply: Reply, expected: Expected = NOT_FOUND) -> Case:
    """A site that answers nonsense is no handle's site."""
    return Case(group, f"handle's site: {name}", expected, SITE_ONLY, texts=records(), replies={SITE: reply})


def followed_by(more: Reply, reply: Reply) -> Reply:
    """Two answers in one: the second lies in wait for the next question."""
    return Reply((*reply.steps, *more.steps), reply.refresh_token)


def logout(group: Group, name: str, reply: Reply) -> Case:
    """Whatever comes of it, the refusal stands."""
    replies = {CREATE: opened("com.atproto.access"), DELETE: reply}
    return Case(group, f"deleteSession: {name}", MAIN_PASSWORD, TO_PDS, replies=replies)


# Only the deadline ends these, so it comes soon; not so soon that a login is not begun any more.
SHORT_SECONDS = 0.5

DRIPPING_LOOK_UPS = (
    directory(Group.DRIPS, "headers", DRIPS["headers"]),
    directory(Group.DRIPS, "body", DRIPS["body"]),
    did_json(Group.DRIPS, "body", DRIPS["body"]),
    site(Group.DRIPS, "headers", DRIPS["headers"], FAILED),
    site(Group.DRIPS, "body", DRIPS["body"], FAILED),
)

ROWS = (
    *(replace(drip, attempt_seconds=SHORT_SECONDS) for drip in DRIPPING_LOOK_UPS),
    *(login(Group.DRIPS, name, reply) for name, reply in (DRIPS | SLOW).items()),
    logout(Group.DRIPS, "headers", DRIPS["headers"]),
    *(login(Group.GIANTS, name, reply) for name, reply in GIANTS.items()),
    *(directory(Group.GIANTS, name, GIANTS[name]) for name in ("a body without a length", "headers")),
    *(did_json(Group.GIANTS, name, GIANTS[name]) for name in ("chunks", "one header")),
    *(site(Group.GIANTS, name, GIANTS[name]) for name in ("a body with its length", "headers")),
    logout(Group.GIANTS, "a body without a length", GIANTS["a body without a length"]),
    *(login(Group.BOMBS, name, reply) for name, reply in BOMBS.items()),
    directory(Group.BOMBS, "gzip", BOMBS["gzip"]),
    did_json(Group.BOMBS, "deflate", BOMBS["deflate"]),
    site(Group.BOMBS, "gzip", BOMBS["gzip"]),
    *(login(Group.GARBAGE, name, reply, expected) for name, (reply, expected) in GARBAGE.items()),
    *(login(Group.GARBAGE, f"a session, {name}", reply) for name, reply in USELESS.items()),
    login(
        Group.GARBAGE,
        "103 before the answer",
        raw(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", *opened().steps),
        CONNECTED,
    ),
    Case(
        Group.GARBAGE,
        "an answer nobody asked for yet",
        MAIN_PASSWORD,
        TO_PDS,
        replies={
            CREATE: raw(*opened("com.atproto.access").steps, *content(200, b"{}").steps, refresh_token=REFRESH_TOKEN)
        },
    ),
    *(
        Case(Group.GARBAGE, f"429: {name}", LIMITED, TO_PDS, replies={CREATE: reply})
        for name, reply in RATE_LIMITS.items()
    ),
    login(Group.GARBAGE, "429 until a moment long gone", limited(retry_after=GONE), LIMITED, logins=ATTEMPTS),
    directory(Group.GARBAGE, "429 without headers", limited(), LIMITED),
    did_json(Group.GARBAGE, "429 in HTML", RATE_LIMITS["HTML"], LIMITED),
    site(Group.GARBAGE, "429 in HTML", RATE_LIMITS["HTML"], FAILED),
    site(Group.GARBAGE, "another protocol", GARBAGE["another protocol"][0]),
)
