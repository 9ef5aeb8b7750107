"""Who a stranger claims to be: handles, TXT records, did:web, documents and sessions of others."""

from collections.abc import Mapping

from tests.hostile.case import (
    CONNECTED,
    DIRECTORY,
    FAILED,
    INVALID,
    MAIN_PASSWORD,
    MISMATCH,
    NOT_FOUND,
    NOWHERE,
    SITE_ONLY,
    TO_PDS,
    UNAVAILABLE,
    UNUSABLE,
    WEB_ONLY,
    WEB_TO_PDS,
    Case,
    Dns,
    Expected,
    Group,
    Texts,
)
from tests.hostile.honest import (
    CREATE,
    DELETE,
    DID,
    DID_JSON,
    DID_WEB,
    DOCUMENT,
    ELSEWHERE,
    HANDLE,
    OTHER_DID,
    PASSWORD,
    SITE,
    WEB,
    document,
    opened,
    service,
)
from tests.hostile.wire import Reply, as_json, content

NOT_HANDLES = {
    "an empty label": "alice..com",
    "a leading hyphen": "-alice.com",
    "a trailing hyphen": "alice-.com",
    "two trailing dots": f"{HANDLE}..",
    "an underscore": "alice_b.com",
    "a blank inside": "ali ce.com",
    "a top level of digits": "alice.123",
    "a label too long": "a" * 64 + ".com",
    "too long": "a." * 126 + "com",
    "far too long": "a" * 2000 + ".com",
    "an IPv4 address": "169.254.169.254",
    "an IPv6 address": "[::1]",
    "a port": "alice.com:8080",
    "a path": "alice.com/../../etc/passwd",
    "a query": "alice.com?x=y",
    "a user": "alice@example.com",
    "a URL inside": "http://169.254.169.254/latest/meta-data",
    "a second line": f"{HANDLE}\n.evil.com",
    "header injection": f"{HANDLE}\r\nHost: evil.com",
    "NUL": f"{HANDLE}\x00.evil.com",
    "full-width letters": "\uff41lice.example.com",
    "a full-width dot": "alice\uff0eexample.com",
    "the Kelvin sign": "\u212aate.example.com",
    "Cyrillic": "\u0430lice.example.com",
    "a percent sign": "alice%2eexample%2ecom",
    "the password in the wrong field": PASSWORD,
    "a reserved domain, local": "alice.local",
    "a reserved domain, internal": "metadata.google.internal",
    "a reserved domain, onion": "alice.onion",
    "a reserved domain, localhost": "alice.localhost",
    "a .test in production": "alice.test",
    "nothing visible": "\u200b\u2066\u2069\ufeff",
}

SPELLED_OTHERWISE = {
    "@, blanks and capitals": f" @{HANDLE.title()} ",
    "a trailing dot": f"{HANDLE}.",
    "quotes": f'"{HANDLE}"',
    "direction marks": f"\u2066{HANDLE}\u2069",
    "a link to the profile": f"https://bsky.app/profile/{HANDLE}",
    "an at:// URI": f"at://{HANDLE}/app.bsky.feed.post/1",
}

NOT_DIDS_WEB = {
    "path": f"did:web:{WEB}:path:to",
    "port": f"did:web:{WEB}%3A8443",
    "raw port": f"did:web:{WEB}:8443",
    "percent-encoded dots": "did:web:web%2Eexample%2Ecom",
    "percent-encoded slash": f"did:web:{WEB}%2F..%2F",
    "slash": f"did:web:{WEB}/.well-known/other",
    "fragment": f"did:web:{WEB}#x",
    "query": f"did:web:{WEB}?x",
    "user": f"did:web:a@{WEB}",
    "percent-encoded user": f"did:web:a%40{WEB}",
    "IPv4": "did:web:127.0.0.1",
    "IPv6": "did:web:[::1]",
    "percent-encoded IPv6": "did:web:%5B%3A%3A1%5D",
    "localhost": "did:web:localhost",
    "localhost and port": "did:web:localhost%3A8443",
    "under localhost": "did:web:pds.localhost",
    "reserved": "did:web:metadata.google.internal",
    "trailing dot": f"did:web:{WEB}.",
    "one label": "did:web:example",
    "empty": "did:web:",
    "another method": "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    "did:plc too short": "did:plc:ewvi7nxzyoun6zhxrhs64oi",
}

OF_ALICE = f"did={DID}".encode()


def records(*texts: bytes | tuple[bytes, ...]) -> Mapping[str, Texts | Dns]:
    return {f"_atproto.{HANDLE}": tuple(text if isinstance(text, tuple) else (text,) for text in texts)}


TXT: dict[str, tuple[Mapping[str, Texts | Dns], Expected, frozenset[str]]] = {
    "two DIDs": (records(OF_ALICE, f"did={OTHER_DID}".encode()), NOT_FOUND, NOWHERE),
    "the same DID twice": (records(OF_ALICE, OF_ALICE), CONNECTED, TO_PDS),
    "several strings": (records((b"did=did:", b"plc:", DID[8:].encode())), CONNECTED, TO_PDS),
    "every byte a string": (records(tuple(bytes([byte]) for byte in OF_ALICE)), CONNECTED, TO_PDS),
    "junk among good": (records(b"v=spf1 -all", b"", b"did=", OF_ALICE, b"did=did:web:localhost"), CONNECTED, TO_PDS),
    "binary among good": (records(bytes(range(256))[:255], b"did=\xff\xfe", OF_ALICE), CONNECTED, TO_PDS),
    "five hundred of junk": (records(*[b"%03d" % i * 30 for i in range(500)], OF_ALICE), CONNECTED, TO_PDS),
    "one of 60 kB": (records((b"did=", *[b"x" * 255] * 240)), NOT_FOUND, SITE_ONLY),
    "no did=": (records(DID.encode()), NOT_FOUND, SITE_ONLY),
    "capitals": (records(f"DID={DID}".encode()), NOT_FOUND, SITE_ONLY),
    "a NUL behind it": (records(OF_ALICE + b"\x00"), NOT_FOUND, SITE_ONLY),
    "a newline behind it": (records(OF_ALICE + b"\n"), NOT_FOUND, SITE_ONLY),
    "another method": (records(b"did=did:key:zQ3shokFTS3brHcDQrn82RUDfCZ"), NOT_FOUND, SITE_ONLY),
    "did:web with a port": (records(f"did=did:web:{WEB}%3A8443".encode()), NOT_FOUND, SITE_ONLY),
    "a path for a DID": (records(b"did=did:plc:../../../../etc/passwd"), NOT_FOUND, SITE_ONLY),
    "nameservers that fail": ({f"_atproto.{HANDLE}": Dns.SERVFAIL}, FAILED, SITE_ONLY),
}

# In the handle's file, with nothing in the DNS.
SITES: dict[str, tuple[Reply, Expected, frozenset[str]]] = {
    "blanks around": (content(200, f"\n {DID}\r\n".encode()), CONNECTED, TO_PDS | {HANDLE}),
    "two DIDs": (content(200, f"{DID}\n{OTHER_DID}".encode()), NOT_FOUND, SITE_ONLY),
    "a path for a DID": (content(200, b"did:plc:../../etc/passwd"), NOT_FOUND, SITE_ONLY),
    "binary": (content(200, bytes(range(256))), NOT_FOUND, SITE_ONLY),
}

SPLIT = Case(
    Group.WRONG_IDENTITY,
    "the DNS wins over the site",
    CONNECTED,
    TO_PDS | {HANDLE},
    replies={SITE: content(200, OTHER_DID.encode())},
)

# The answer to a login, and what must come of it: the session is not kept but ended.
SESSIONS: dict[str, tuple[Reply, Expected]] = {
    "another's DID": (opened(did=OTHER_DID), UNUSABLE),
    "a DID with a newline": (opened(did=f"{DID}\n"), UNUSABLE),
    "the DID in capitals": (opened(did=DID.upper()), UNUSABLE),
    "the main password": (opened("com.atproto.access"), MAIN_PASSWORD),
    "a scope of taken down accounts": (opened("com.atproto.takendown"), UNAVAILABLE),
    "an inactive account": (opened(active=False, status="deactivated"), UNAVAILABLE),
    "a document that leads elsewhere": (
        opened(didDoc=document(service=[service(f"https://{ELSEWHERE}")])),
        UNUSABLE,
    ),
    "a document that leads inside": (opened(didDoc=document(service=[service("https://127.0.0.1")])), UNUSABLE),
    "a document of another": (opened(didDoc=document(OTHER_DID)), UNUSABLE),
    "a document that is none": (opened(didDoc=[1]), CONNECTED),
    "an e-mail code": (as_json(401, {"error": "AuthFactorTokenRequired", "message": "m"}), MAIN_PASSWORD),
    "a takedown": (as_json(401, {"error": "AccountTakedown", "message": "m"}), UNAVAILABLE),
}

DOCUMENTS: dict[str, tuple[Reply, Expected, frozenset[str]]] = {
    "of another DID": (as_json(200, document(OTHER_DID)), UNUSABLE, DIRECTORY),
    "of a DID in capitals": (as_json(200, document(DID.upper())), UNUSABLE, DIRECTORY),
    "unknown": (as_json(404, {"message": "DID not registered"}), UNUSABLE, DIRECTORY),
    "tombstoned": (as_json(410, {"message": "DID not available"}), UNUSABLE, DIRECTORY),
}

CLAIMS: dict[str, tuple[object, Expected, frozenset[str]]] = {
    "another's": (["at://mallory.example.com"], MISMATCH, DIRECTORY),
    "another's first": (["at://mallory.example.com", f"at://{HANDLE}"], MISMATCH, DIRECTORY),
    "invalid first": (["https://x", "at://not_valid", "at://", "", f"at://{HANDLE}"], CONNECTED, TO_PDS),
    "in capitals": ([f"at://{HANDLE.upper()}"], CONNECTED, TO_PDS),
    "with a path": ([f"at://{HANDLE}/x"], MISMATCH, DIRECTORY),
    "with the Kelvin sign": (["at://\u212aate.example.com"], MISMATCH, DIRECTORY),
    "handle.invalid": (["at://handle.invalid"], MISMATCH, DIRECTORY),
    "none": ([], MISMATCH, DIRECTORY),
    "left out": (..., MISMATCH, DIRECTORY),
    "numbers": ([1, 2], FAILED, DIRECTORY),
    "a string": (f"at://{HANDLE}", FAILED, DIRECTORY),
    "ten thousand before it": ([*["x"] * 10_000, f"at://{HANDLE}"], CONNECTED, TO_PDS),
}

ALICE_TWICE = f'{{"id":"{OTHER_DID}","alsoKnownAs":["at://{HANDLE}"],"service":[],'
LAST_WINS = f'"id":"{DID}","service":[{{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":'

SHAPES: dict[str, tuple[Reply, Expected, frozenset[str]]] = {
    "deep nesting": (content(200, b'{"id":' + b"[" * 50_000), FAILED, DIRECTORY),
    "deep nesting that closes": (
        content(200, b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b',"id":"x"}'),
        FAILED,
        DIRECTORY,
    ),
    "names twice, the last leads inside": (
        content(200, f'{ALICE_TWICE}{LAST_WINS}"https://127.0.0.1"}}]}}'.encode()),
        Expected(422, "VALIDATION_ERROR", "host_not_allowed"),
        DIRECTORY,
    ),
    "names twice, the last is another's": (
        content(200, f'{{"id":"{DID}","id":"{OTHER_DID}","alsoKnownAs":["at://{HANDLE}"]}}'.encode()),
        UNUSABLE,
        DIRECTORY,
    ),
    "five thousand services": (
        as_json(200, document(service=[*[service(id="#x", type="X", serviceEndpoint="x")] * 3_000, service()])),
        CONNECTED,
        TO_PDS,
    ),
    "a lone surrogate": (content(200, b'{"id":"\\ud800"}'), FAILED, DIRECTORY),
    "UTF-16": (content(200, '{"id":"x"}'.encode("utf-16")), FAILED, DIRECTORY),
    "an array": (as_json(200, [document()]), FAILED, DIRECTORY),
    "a number": (content(200, b"1" * 5_000), FAILED, DIRECTORY),
    "null": (content(200, b"null"), FAILED, DIRECTORY),
    "HTML": (content(200, b"<html>moved</html>"), FAILED, DIRECTORY),
    "nothing": (content(200, b""), FAILED, DIRECTORY),
}

ROWS = (
    *(Case(Group.HANDLES, name, INVALID, NOWHERE, handle) for name, handle in NOT_HANDLES.items()),
    *(Case(Group.HANDLES, name, CONNECTED, TO_PDS, handle) for name, handle in SPELLED_OTHERWISE.items()),
    *(Case(Group.TXT, name, expected, dials, texts=texts) for name, (texts, expected, dials) in TXT.items()),
    *(
        Case(Group.TXT, f"instead, a site with {name}", expected, dials, texts=records(), replies={SITE: site})
        for name, (site, expected, dials) in SITES.items()
    ),
    *(Case(Group.DID_WEB, name, INVALID, NOWHERE, did) for name, did in NOT_DIDS_WEB.items()),
    Case(
        Group.DID_WEB,
        "capitals mean the same host",
        CONNECTED,
        WEB_TO_PDS,
        f"did:web:{WEB.upper()}",
        replies={
            DID_JSON: as_json(200, document(DID_WEB, alsoKnownAs=[])),
            CREATE: opened(did=DID_WEB),
        },
    ),
    Case(Group.DID_WEB, "punycode of nothing", UNUSABLE, NOWHERE, "did:web:xn--a.com"),
    Case(Group.DID_WEB, "nowhere", UNUSABLE, NOWHERE, "did:web:nowhere.example.com"),
    Case(
        Group.DID_WEB,
        "a document of another",
        UNUSABLE,
        WEB_ONLY,
        DID_WEB,
        replies={DID_JSON: as_json(200, document(DID))},
    ),
    Case(
        Group.DID_WEB,
        "a document that is none",
        UNUSABLE,
        WEB_ONLY,
        DID_WEB,
        replies={DID_JSON: content(200, b"<html>hello</html>")},
    ),
    Case(
        Group.DID_WEB,
        "one that claims another's handle keeps no name",
        CONNECTED,
        WEB_TO_PDS,
        DID_WEB,
        replies={
            DID_JSON: as_json(200, document(DID_WEB)),
            CREATE: opened(did=DID_WEB),
        },
    ),
    SPLIT,
    Case(
        Group.WRONG_IDENTITY,
        "a handle that points at another's account",
        MISMATCH,
        DIRECTORY,
        texts=records(f"did={OTHER_DID}".encode()),
        replies={f"GET plc.directory/{OTHER_DID}": as_json(200, document(OTHER_DID, alsoKnownAs=["at://b.com"]))},
    ),
    *(
        Case(Group.WRONG_IDENTITY, f"a login: {name}", expected, TO_PDS, replies={CREATE: reply})
        for name, (reply, expected) in SESSIONS.items()
    ),
    Case(
        Group.WRONG_IDENTITY,
        "a session whose end is not confirmed",
        UNUSABLE,
        TO_PDS,
        replies={CREATE: opened(did=OTHER_DID), DELETE: content(500, b"")},
    ),
    *(
        Case(Group.WRONG_IDENTITY, f"a document {name}", expected, dials, replies={DOCUMENT: reply})
        for name, (reply, expected, dials) in DOCUMENTS.items()
    ),
    *(
        Case(
            Group.DOCUMENTS,
            f"claims: {name}",
            expected,
            dials,
            replies={DOCUMENT: as_json(200, document(alsoKnownAs=claims))},
        )
        for name, (claims, expected, dials) in CLAIMS.items()
    ),
    *(
        Case(Group.DOCUMENTS, name, expected, dials, replies={DOCUMENT: reply})
        for name, (reply, expected, dials) in SHAPES.items()
    ),
)
