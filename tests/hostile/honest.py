"""The honest internet that every case spoils in one place.

Alice has a handle of her own, named by the DNS, and a PDS of her own; her document is in the directory. `WEB` is the
host of a did:web, `ELSEWHERE` a host that has no part in anything.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from json import dumps
from types import MappingProxyType
from typing import Any

from tests.hostile.wire import Reply, as_json

HANDLE = "alice.example.com"
PDS = "pds.example.com"
WEB = "web.example.com"
ELSEWHERE = "elsewhere.example.com"
PLC = "plc.directory"
PLC_INSIDE = "plc.directory inside"
ENTRYWAY = "bsky.social"

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
OTHER_DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
DID_WEB = f"did:web:{WEB}"

# Canaries: none of them may be seen where it does not belong.
PASSWORD = "cana-ryca-nary-2345"
ACCESS_SIGNATURE = "access-canary"
REFRESH_TOKEN = "refresh-canary"

CREATE = f"POST {PDS}/xrpc/com.atproto.server.createSession"
DELETE = f"POST {PDS}/xrpc/com.atproto.server.deleteSession"
DOCUMENT = f"GET {PLC}/{DID}"
SITE = f"GET {HANDLE}/.well-known/atproto-did"
DID_JSON = f"GET {WEB}/.well-known/did.json"
CREATE_AT_WEB = f"POST {WEB}/xrpc/com.atproto.server.createSession"
DELETE_AT_WEB = f"POST {WEB}/xrpc/com.atproto.server.deleteSession"

ADDRESSES = {
    HANDLE: "93.184.216.10",
    PDS: "93.184.216.20",
    PLC: "93.184.216.30",
    ENTRYWAY: "93.184.216.40",
    WEB: "93.184.216.50",
    ELSEWHERE: "93.184.216.60",
}
# Whose address it is; the same PDS has a second one, and an operator's directory may stand inside.
OWNERS = {address: name for name, address in ADDRESSES.items()} | {
    "93.184.216.21": PDS,
    "2606:2800:220:1::20": PDS,
    "10.0.0.7": PLC_INSIDE,
}


def token(scope: str) -> str:
    claims = urlsafe_b64encode(dumps({"scope": scope}).encode()).decode().rstrip("=")
    return f"e30.{claims}.{ACCESS_SIGNATURE}"


def document(did: str = DID, **changes: object) -> dict[str, Any]:
    """Alice's DID document. A change to `...` leaves the member out."""
    whole = {"id": did, "alsoKnownAs": [f"at://{HANDLE}"], "service": [service()], **changes}
    return {name: value for name, value in whole.items() if value is not ...}


def service(endpoint: object = f"https://{PDS}", **changes: object) -> dict[str, object]:
    return {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint, **changes}


def session(scope: str = "com.atproto.appPass", **changes: object) -> dict[str, object]:
    whole = {"did": DID, "handle": HANDLE, "accessJwt": token(scope), "refreshJwt": REFRESH_TOKEN, "active": True}
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def opened(
    scope: str = "com.atproto.appPass", *, headers: Mapping[str, str] = MappingProxyType({}), **changes: object
) -> Reply:
    """A login that opens a session, which must be kept or ended."""
    return replace(as_json(200, session(scope, **changes), **headers), refresh_token=REFRESH_TOKEN)


NAMES: Mapping[str, tuple[str, ...]] = {name: (address,) for name, address in ADDRESSES.items()}
TEXTS: Mapping[str, tuple[tuple[bytes, ...], ...]] = {f"_atproto.{HANDLE}": ((f"did={DID}".encode(),),)}
REPLIES: Mapping[str, Reply] = {
    DOCUMENT: as_json(200, document()),
    DID_JSON: as_json(200, document(DID_WEB)),
    CREATE: opened(),
    DELETE: as_json(200, {}),
}
