"""One PDS: takes a request through the checks of XRPC to its method, and serves the paths beside XRPC."""

from sandbox.host import Host
from sandbox.message import Delivery, HeaderList, Request, Response, json_response
from sandbox.methods import METHODS, Auth, Call, Method
from sandbox.tokens import ANY_ACCESS, FULL_ACCESS, Scope
from sandbox.xrpc import XrpcError, auth_required, bearer_token, invalid_request, read_input, require_admin

HEALTH = "/xrpc/_health"
WELL_KNOWN_DID = "/.well-known/atproto-did"
WELL_KNOWN_DOCUMENT = "/.well-known/did.json"

_PREFIX = "/xrpc/"
_METHODS_BY_PATH = {_PREFIX + nsid: (nsid, method) for nsid, method in METHODS.items()}
_VARY = (b"Vary", b"Accept-Encoding")
_AUTH_HEADERS: HeaderList = [(b"Cache-Control", b"private"), (b"Vary", b"Authorization, Accept-Encoding")]
_SCOPES = {
    Auth.ANY_ACCESS: ANY_ACCESS,
    Auth.FULL_ACCESS: FULL_ACCESS,
    Auth.FULL_OR_TAKENDOWN: FULL_ACCESS | {Scope.TAKENDOWN},
}


class Pds:
    """The handler of one PDS."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def identify(self, request: Request) -> tuple[str, str | None]:
        """Method (NSID or path) and the account a request is about, for faults and for the ledger."""
        found = _METHODS_BY_PATH.get(request.path)
        if found is not None:
            nsid, method = found
            return nsid, method.subject(request)
        if request.path.startswith("/.well-known/"):
            return request.path, _hostname(request)
        return request.path.removeprefix(_PREFIX), None

    def __call__(self, request: Request) -> Response:
        found = _METHODS_BY_PATH.get(request.path)
        if found is not None and found[1].verb == request.method:
            return self._call(found[1], request)
        if request.path == HEALTH:
            return json_response(200, {}, [_VARY])
        if request.path == WELL_KNOWN_DID:
            return self._well_known_did(_hostname(request))
        if request.path == WELL_KNOWN_DOCUMENT:
            return self._well_known_document(_hostname(request))
        if request.path.startswith(_PREFIX):
            return self._forward(request)
        return _text(404, f"Cannot {request.method} {request.path}", b"text/html; charset=utf-8")

    def _call(self, method: Method, request: Request) -> Response:
        headers: HeaderList = [_VARY]
        call = Call(request)
        try:
            if method.auth is not Auth.NONE:
                headers = [*_AUTH_HEADERS]
                self._authenticate(method.auth, call)
            if method.verb == "POST":
                call.input = read_input(request, method.schema)
            headers += self.host.limits.consume(method.buckets(call))
            body = method.run(self.host, call)
        except XrpcError as error:
            response = error.response(headers)
        else:
            response = Response(200, b"", headers) if body is None else json_response(200, body, headers)
        if call.delay:
            response.delivery = Delivery(delay=call.delay)
        return response

    def _forward(self, request: Request) -> Response:
        """What a PDS does not know it would forward, for which it wants to know who asks."""
        if request.method not in ("GET", "POST"):
            return invalid_request("XRPC requests only supports GET and POST").response([_VARY])
        return auth_required(error="AuthMissing").response([*_AUTH_HEADERS])

    def _authenticate(self, auth: Auth, call: Call) -> None:
        if auth is Auth.OPTIONAL:
            return
        if auth is Auth.ADMIN:
            require_admin(call.request, self.host.settings.admin_password)
            return
        token = bearer_token(call.request)
        if auth in (Auth.REFRESH, Auth.REFRESH_EVEN_EXPIRED):
            expired = auth is Auth.REFRESH_EVEN_EXPIRED
            call.did, call.token_id = self.host.tokens.check_refresh(token, allow_expired=expired)
            return
        call.did = self.host.tokens.check_access(token, _SCOPES[auth])

    def _well_known_did(self, hostname: str) -> Response:
        account = self.host.account(hostname)
        if account is None or account.status is not None or account.handle != hostname:
            return _text(404, "User not found", b"text/html; charset=utf-8")
        return _text(200, account.did, b"text/plain; charset=utf-8")

    def _well_known_document(self, hostname: str) -> Response:
        document = self.host.directory.document(f"did:web:{hostname}")
        if document is None:
            return _text(404, "Not found", b"text/html; charset=utf-8")
        return json_response(200, document, [_VARY])


def _hostname(request: Request) -> str:
    return request.headers.get(b"host", b"").decode("latin-1").partition(":")[0]


def _text(status: int, text: str, content_type: bytes) -> Response:
    return Response(status, text.encode(), [(b"Content-Type", content_type), _VARY])
