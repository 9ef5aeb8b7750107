"""Where a stranger would have us go: names, addresses, endpoints and redirects."""

from collections.abc import Mapping

from tests.hostile.case import (
    CONNECTED,
    DIRECTORY,
    FAILED,
    MAIN_PASSWORD,
    NOT_FOUND,
    NOT_PUBLIC,
    NOWHERE,
    SITE_ONLY,
    TO_PDS,
    UNUSABLE,
    WEB_ONLY,
    WEB_TO_PDS,
    Addresses,
    Case,
    Dns,
    Expected,
    Group,
    Texts,
    Turns,
)
from tests.hostile.honest import (
    ADDRESSES,
    CREATE,
    CREATE_AT_WEB,
    DELETE,
    DELETE_AT_WEB,
    DID,
    DID_JSON,
    DID_WEB,
    DOCUMENT,
    ELSEWHERE,
    HANDLE,
    PDS,
    PLC,
    PLC_INSIDE,
    SITE,
    WEB,
    document,
    opened,
    service,
)
from tests.hostile.stack import ATTEMPTS
from tests.hostile.wire import Reply, as_json, content, redirect

GOOD = ADDRESSES[PDS]
ALSO_GOOD = "93.184.216.21"
GOOD_IPV6 = "2606:2800:220:1::20"
LOOPBACK = ("127.0.0.1",)

NO_RECORD: Mapping[str, Texts | Dns] = {f"_atproto.{HANDLE}": Dns.NXDOMAIN}
SITE_SAYS_DID = content(200, DID.encode())


def endpoint(url: object) -> Mapping[str, Reply]:
    return {DOCUMENT: as_json(200, document(service=[service(url)]))}


def at_pds(name: str, addresses: Addresses, group: Group) -> Case:
    return Case(group, f"{name}, PDS", NOT_PUBLIC, DIRECTORY, names={PDS: addresses})


def at_site(name: str, addresses: Addresses, group: Group) -> Case:
    return Case(group, f"{name}, handle's site", NOT_PUBLIC, NOWHERE, names={HANDLE: addresses}, texts=NO_RECORD)


def at_did_web(name: str, addresses: Addresses, group: Group) -> Case:
    return Case(group, f"{name}, did:web", NOT_PUBLIC, NOWHERE, DID_WEB, names={WEB: addresses})


EVERYWHERE = (at_pds, at_site, at_did_web)

IPV4_INSIDE = {
    "loopback": "127.0.0.1",
    "loopback's far end": "127.255.255.254",
    "private 10/8": "10.0.0.1",
    "private 172.16/12": "172.31.255.255",
    "private 192.168/16": "192.168.1.1",
    "shared": "100.64.0.1",
    "cloud metadata": "169.254.169.254",
    "this host": "0.0.0.0",
    "broadcast": "255.255.255.255",
    "multicast": "224.0.0.1",
}

INSIDE_ELSEWHERE = ("loopback", "private 10/8", "shared", "cloud metadata")
DISGUISED = ("IPv4-mapped loopback", "NAT64")

IPV6_INSIDE = {
    "loopback": "::1",
    "unspecified": "::",
    "IPv4-mapped loopback": "::ffff:127.0.0.1",
    "IPv4-mapped metadata": "::ffff:a9fe:a9fe",
    "IPv4-compatible": "::127.0.0.1",
    "NAT64": "64:ff9b::7f00:1",
    "local NAT64": "64:ff9b:1::7f00:1",
    "6to4": "2002:7f00:1::",
    "Teredo": "2001:0:7f00:1::",
    "unique local": "fd00:ec2::254",
    "link-local": "fe80::1",
    "site-local": "fec0::1",
    "multicast": "ff02::1",
    "documentation": "2001:db8::1",
}

# In an endpoint. Where no nameserver knows the number by name, it names nothing.
LITERALS = {
    "https://127.0.0.1": NOT_PUBLIC,
    "https://[::1]": NOT_PUBLIC,
    "https://[::ffff:127.0.0.1]": NOT_PUBLIC,
    "https://[::ffff:10.0.0.1]:8443": NOT_PUBLIC,
    "https://[::127.0.0.1]": NOT_PUBLIC,
    "https://[64:ff9b::7f00:1]": NOT_PUBLIC,
    "https://[2002:7f00:1::]": NOT_PUBLIC,
    "https://[fe80::1]": NOT_PUBLIC,
    "https://[fe80::1%25eth0]": UNUSABLE,
    "https://[fe80::1%eth0]": UNUSABLE,
    "https://2130706433": UNUSABLE,
    "https://017700000001": UNUSABLE,
    "https://0177.0.0.1": UNUSABLE,
    "https://0x7f000001": UNUSABLE,
    "https://0x7f.0.0.1": UNUSABLE,
    "https://127.1": UNUSABLE,
    "https://127.0.0.1.": UNUSABLE,
    "https://[::ffff:7f00:1": UNUSABLE,
    "https://localhost": NOT_PUBLIC,
    "https://pds.localhost": NOT_PUBLIC,
}

MIXED: dict[str, Addresses] = {
    "bad last": (GOOD, "10.0.0.1"),
    "bad first": ("10.0.0.1", GOOD),
    "IPv6 inside": (GOOD, "fd00::1"),
    "IPv4 inside": ("127.0.0.1", GOOD_IPV6),
    "mapped": (GOOD, GOOD_IPV6, "::ffff:169.254.169.254"),
    "bad behind more than are tried": (*[GOOD] * 8, "192.168.0.1"),
}

CLOSES = {"connection": "close"}

REBINDING = (
    Case(
        Group.REBINDING,
        "a kept connection outlives the name",
        MAIN_PASSWORD,
        TO_PDS,
        names={PDS: Turns(((GOOD,), LOOPBACK))},
        replies={CREATE: opened("com.atproto.access")},
    ),
    Case(
        Group.REBINDING,
        "the name turns before the session is ended",
        MAIN_PASSWORD,
        TO_PDS,
        names={PDS: Turns(((GOOD,), LOOPBACK))},
        replies={CREATE: opened("com.atproto.access", headers=CLOSES)},
        can_end=False,
    ),
    Case(
        Group.REBINDING,
        "the name turns between two attempts",
        NOT_PUBLIC,
        TO_PDS,
        names={PDS: Turns(((GOOD,), LOOPBACK))},
        replies={CREATE: content(503, b"", connection="close")},
    ),
    Case(
        Group.REBINDING,
        "a document's host turns before the login",
        NOT_PUBLIC,
        WEB_ONLY,
        DID_WEB,
        names={WEB: Turns(((ADDRESSES[WEB],), LOOPBACK))},
        replies={
            DID_JSON: as_json(
                200, document(DID_WEB, alsoKnownAs=[], service=[service(f"https://{WEB}")]), connection="close"
            )
        },
    ),
    Case(
        Group.REBINDING,
        "a site turns on its own redirect",
        NOT_PUBLIC,
        SITE_ONLY,
        names={HANDLE: Turns(((ADDRESSES[HANDLE],), LOOPBACK))},
        texts=NO_RECORD,
        replies={SITE: content(302, b"", location="/again", connection="close")},
    ),
    Case(
        Group.REBINDING,
        "inside first is refused, whatever comes next",
        NOT_PUBLIC,
        DIRECTORY,
        names={PDS: Turns((LOOPBACK, (GOOD,)))},
    ),
    Case(
        Group.REBINDING,
        "from one public address to another",
        CONNECTED,
        TO_PDS,
        names={PDS: Turns(((GOOD,), (ALSO_GOOD,), LOOPBACK))},
    ),
    Case(
        Group.REBINDING,
        "between IPv4 and IPv6 of one answer",
        CONNECTED,
        TO_PDS,
        names={PDS: Turns(((GOOD, GOOD_IPV6), LOOPBACK))},
    ),
)

ENDPOINTS: dict[str, tuple[object, Expected, frozenset[str]]] = {
    "http": (f"http://{PDS}", UNUSABLE, DIRECTORY),
    "http inside": ("http://169.254.169.254/latest/meta-data", UNUSABLE, DIRECTORY),
    "ftp": (f"ftp://{PDS}", UNUSABLE, DIRECTORY),
    "file": ("file:///etc/passwd", UNUSABLE, DIRECTORY),
    "no scheme": (f"//{PDS}", UNUSABLE, DIRECTORY),
    "path": (f"https://{PDS}/xrpc", UNUSABLE, DIRECTORY),
    "query": (f"https://{PDS}?to={ELSEWHERE}", UNUSABLE, DIRECTORY),
    "fragment": (f"https://{PDS}#{ELSEWHERE}", UNUSABLE, DIRECTORY),
    "user": (f"https://{PDS}@{ELSEWHERE}", UNUSABLE, DIRECTORY),
    "user and password": (f"https://a:b@{PDS}", UNUSABLE, DIRECTORY),
    "backslash": (f"https://{PDS}\\@{ELSEWHERE}", UNUSABLE, DIRECTORY),
    "a port of its own": (f"https://{PDS}:8443", CONNECTED, DIRECTORY | {f"{PDS}:8443"}),
    "a port too high": (f"https://{PDS}:65536", UNUSABLE, DIRECTORY),
    "port zero": (f"https://{PDS}:0", UNUSABLE, DIRECTORY),
    "no port": (f"https://{PDS}:", UNUSABLE, DIRECTORY),
    "a port that is no number": (f"https://{PDS}:https", UNUSABLE, DIRECTORY),
    "upper case and a slash": (f"HTTPS://{PDS.upper()}/", CONNECTED, TO_PDS),
    "empty": ("", UNUSABLE, DIRECTORY),
    "unicode": ("https://pds.ex\u00e4mple.com", UNUSABLE, DIRECTORY),
    "unicode digits": ("https://\uff11\uff12\uff17.0.0.1", UNUSABLE, DIRECTORY),
    "punycode of nothing": ("https://xn--a.com", UNUSABLE, DIRECTORY),
    "an empty label": ("https://pds..example.com", UNUSABLE, DIRECTORY),
    "a label too long": (f"https://{'a' * 64}.example.com", UNUSABLE, DIRECTORY),
    "a name too long": (f"https://{'a.' * 200}com", UNUSABLE, DIRECTORY),
    "newline": (f"https://{PDS}\n", UNUSABLE, DIRECTORY),
    "header injection": (f"https://{PDS}\r\nX-Evil: 1", UNUSABLE, DIRECTORY),
    "NUL": (f"https://{PDS}\x00.{ELSEWHERE}", UNUSABLE, DIRECTORY),
    "blank": (f" https://{PDS}", UNUSABLE, DIRECTORY),
    "list": ([f"https://{PDS}"], UNUSABLE, DIRECTORY),
    "object": ({"uri": f"https://{PDS}"}, UNUSABLE, DIRECTORY),
    "nowhere": ("https://nowhere.example.com", UNUSABLE, DIRECTORY),
}

SERVICES: dict[str, tuple[object, Expected, frozenset[str]]] = {
    "none": ([], UNUSABLE, DIRECTORY),
    "left out": (..., UNUSABLE, DIRECTORY),
    "another id": ([service(id="#bsky_notif")], UNUSABLE, DIRECTORY),
    "another type": ([service(type="BskyNotificationService")], UNUSABLE, DIRECTORY),
    "another kind before it": (
        [service(f"https://{ELSEWHERE}", id="#bsky_fg", type="BskyFeedGenerator"), service()],
        CONNECTED,
        TO_PDS,
    ),
    "two, the first counts": ([service(), service(f"https://{ELSEWHERE}")], CONNECTED, TO_PDS),
    "two, the first leads inside": ([service("https://127.0.0.1"), service()], NOT_PUBLIC, DIRECTORY),
    "an id in full": ([service(id=f"{DID}#atproto_pds")], CONNECTED, TO_PDS),
}

OPERATORS_HOST = Case(
    Group.ENDPOINTS,
    "the operator's own host, inside",
    NOT_PUBLIC,
    frozenset({PLC_INSIDE}),
    names={PLC: ("10.0.0.7",)},
    replies=endpoint(f"https://{PLC}"),
)

STATUSES = (301, 302, 303, 307, 308)
THERE = f"https://{ELSEWHERE}/there"
AT_ELSEWHERE = f"GET {ELSEWHERE}/there"

# Followed once each, so that where it leads may answer; with a password never.
FOLLOWED = (
    *(
        Case(
            Group.REDIRECTS,
            f"{status} from a handle's site",
            CONNECTED,
            TO_PDS | {HANDLE, ELSEWHERE},
            texts=NO_RECORD,
            replies={SITE: redirect(status, THERE), AT_ELSEWHERE: SITE_SAYS_DID},
        )
        for status in STATUSES
    ),
    *(
        Case(
            Group.REDIRECTS,
            f"{status} from did.json",
            CONNECTED,
            WEB_TO_PDS | {ELSEWHERE},
            DID_WEB,
            replies={
                DID_JSON: redirect(status, THERE),
                AT_ELSEWHERE: as_json(200, document(DID_WEB, alsoKnownAs=[])),
                CREATE: opened(did=DID_WEB),
            },
        )
        for status in STATUSES
    ),
    *(
        Case(
            Group.REDIRECTS,
            f"{status} from createSession",
            FAILED,
            TO_PDS,
            replies={CREATE: redirect(status, THERE)},
            logins=ATTEMPTS,
        )
        for status in STATUSES
    ),
)

# Where to, and what becomes of it: a site that leads nowhere is no handle's site, a document is unusable or unreadable.
LED_ASTRAY: dict[str, tuple[str, Expected, Expected]] = {
    "round in circles": ("", NOT_FOUND, FAILED),
    "http": (f"http://{ELSEWHERE}/there", NOT_FOUND, UNUSABLE),
    "another port": (f"https://{ELSEWHERE}:8443/there", NOT_FOUND, UNUSABLE),
    "user": (f"https://a:b@{ELSEWHERE}/there", NOT_FOUND, UNUSABLE),
    "file": ("file:///etc/passwd", NOT_FOUND, UNUSABLE),
    "no URL": ("https://[", NOT_FOUND, UNUSABLE),
    "loopback": ("https://127.0.0.1/", NOT_PUBLIC, NOT_PUBLIC),
    "cloud metadata": ("https://169.254.169.254/latest/meta-data", NOT_PUBLIC, NOT_PUBLIC),
    "IPv6 loopback": ("https://[::1]/", NOT_PUBLIC, NOT_PUBLIC),
    "a name inside": ("https://inside.example.com/", NOT_PUBLIC, NOT_PUBLIC),
    "nowhere": ("https://nowhere.example.com/", NOT_FOUND, UNUSABLE),
}

ASTRAY = (
    *(
        Case(
            Group.REDIRECTS,
            f"a handle's site leads to {name}",
            of_site,
            SITE_ONLY,
            names={"inside.example.com": ("10.0.0.1",)},
            texts=NO_RECORD,
            replies={SITE: redirect(302, target)},
        )
        for name, (target, of_site, _) in LED_ASTRAY.items()
    ),
    *(
        Case(
            Group.REDIRECTS,
            f"did.json leads to {name}",
            of_document,
            WEB_ONLY,
            DID_WEB,
            names={"inside.example.com": ("10.0.0.1",)},
            replies={DID_JSON: redirect(302, target)},
        )
        for name, (target, _, of_document) in LED_ASTRAY.items()
    ),
    Case(
        Group.REDIRECTS,
        "a handle's site leads to the operator's host, inside",
        NOT_PUBLIC,
        SITE_ONLY,
        names={PLC: ("10.0.0.7",)},
        texts=NO_RECORD,
        replies={SITE: redirect(302, f"https://{PLC}/{DID}")},
    ),
    Case(
        Group.REDIRECTS,
        "the directory leads elsewhere",
        FAILED,
        DIRECTORY,
        replies={DOCUMENT: redirect(302, THERE), AT_ELSEWHERE: as_json(200, document())},
    ),
    Case(
        Group.REDIRECTS,
        "deleteSession leads elsewhere",
        MAIN_PASSWORD,
        TO_PDS,
        replies={CREATE: opened("com.atproto.access"), DELETE: redirect(307, THERE)},
    ),
    Case(
        Group.REDIRECTS,
        "a redirect without a target",
        NOT_FOUND,
        SITE_ONLY,
        texts=NO_RECORD,
        replies={SITE: content(302, DID.encode())},
    ),
)

HONEST_DID_WEB = Case(
    Group.DID_WEB,
    "a host that keeps both document and account",
    CONNECTED,
    WEB_ONLY,
    DID_WEB,
    replies={
        DID_JSON: as_json(200, document(DID_WEB, alsoKnownAs=[], service=[service(f"https://{WEB}")])),
        CREATE_AT_WEB: opened(did=DID_WEB),
        DELETE_AT_WEB: as_json(200, {}),
    },
    pds=WEB,
)

ROWS = (
    *(at_pds(name, (address,), Group.INSIDE) for name, address in IPV4_INSIDE.items()),
    *(place(name, (IPV4_INSIDE[name],), Group.INSIDE) for name in INSIDE_ELSEWHERE for place in (at_site, at_did_web)),
    *(at_pds(name, (address,), Group.SPELLINGS) for name, address in IPV6_INSIDE.items()),
    *(place(name, (IPV6_INSIDE[name],), Group.SPELLINGS) for name in DISGUISED for place in (at_site, at_did_web)),
    *(
        Case(Group.SPELLINGS, f"endpoint {url}", expected, DIRECTORY, replies=endpoint(url))
        for url, expected in LITERALS.items()
    ),
    *(place(name, addresses, Group.MIXED) for name, addresses in MIXED.items() for place in EVERYWHERE),
    Case(Group.MIXED, "all good", CONNECTED, TO_PDS, names={PDS: (GOOD, ALSO_GOOD, GOOD_IPV6)}),
    *REBINDING,
    *(
        Case(Group.ENDPOINTS, f"endpoint {name}", expected, dials, replies=endpoint(url))
        for name, (url, expected, dials) in ENDPOINTS.items()
    ),
    *(
        Case(
            Group.ENDPOINTS,
            f"services: {name}",
            expected,
            dials,
            replies={DOCUMENT: as_json(200, document(service=services))},
        )
        for name, (services, expected, dials) in SERVICES.items()
    ),
    OPERATORS_HOST,
    *FOLLOWED,
    *ASTRAY,
    HONEST_DID_WEB,
)
