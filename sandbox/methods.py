"""The XRPC methods of a PDS, each a function from host and call to the body of the answer.

Source: the lexicons `com.atproto.*`, and `@atproto/pds` 0.4.217, whose texts are kept.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from sandbox.accounts import HANDLE, Account, plc_did
from sandbox.host import Host
from sandbox.limits import CREATE_ACCOUNT, GLOBAL, LOGIN_5_MINUTES, LOGIN_DAY, Limit
from sandbox.message import Request
from sandbox.plc import did_document
from sandbox.tokens import Scope, scope_for
from sandbox.xrpc import Key, Schema, XrpcError, auth_required, internal_error, invalid_request

MAX_PASSWORD = 512

CREATE_SESSION = "com.atproto.server.createSession"
REFRESH_SESSION = "com.atproto.server.refreshSession"
DELETE_SESSION = "com.atproto.server.deleteSession"
GET_SESSION = "com.atproto.server.getSession"
GET_REPO_STATUS = "com.atproto.sync.getRepoStatus"
DESCRIBE_REPO = "com.atproto.repo.describeRepo"
RESOLVE_HANDLE = "com.atproto.identity.resolveHandle"
GET_PROFILE = "app.bsky.actor.getProfile"

SESSION_METHODS = frozenset({CREATE_SESSION, REFRESH_SESSION, GET_SESSION})

Body = dict[str, Any] | None


class Auth(Enum):
    """What a method wants in the Authorization header."""

    NONE = auto()
    OPTIONAL = auto()
    """Nothing here, but it can act for another service, so that its answers are private."""
    ANY_ACCESS = auto()
    """An access token of any password."""
    FULL_ACCESS = auto()
    """An access token of the main password."""
    FULL_OR_TAKENDOWN = auto()
    """As before, or that of a taken down account, whose owner may still leave."""
    REFRESH = auto()
    REFRESH_EVEN_EXPIRED = auto()
    ADMIN = auto()


@dataclass(slots=True)
class Call:
    """One call whose input and authorization have been checked; `delay` seconds are asked for by the method."""

    request: Request
    input: dict[str, Any] = field(default_factory=dict)
    did: str = ""
    token_id: str = ""
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Method:
    """How one method is called. `subject` names the account a request is about, before any check."""

    run: Callable[[Host, Call], Body]
    subject: Callable[[Request], str | None]
    auth: Auth = Auth.NONE
    verb: str = "POST"
    schema: Schema | None = None
    limits: Callable[[Call], list[tuple[Limit, str]]] | None = None

    def buckets(self, call: Call) -> list[tuple[Limit, str]]:
        """The rate limit buckets a call counts in, in the order a PDS looks at them."""
        own = self.limits(call) if self.limits is not None else []
        return [*own, (GLOBAL, call.request.address)]


def create_session(host: Host, call: Call) -> Body:
    """Log in by DID, handle or e-mail address. 401 for every refusal; 400 for a wrong e-mail code."""
    identifier, password = call.input["identifier"], call.input["password"]
    if len(password) > MAX_PASSWORD:
        raise auth_required("Password too long. Consider resetting your password.")
    call.delay = host.settings.login_delay
    account = host.account(identifier)
    if account is None:
        raise auth_required("Invalid identifier or password")
    app_password = None
    if password == account.password:
        if account.taken_down and not call.input.get("allowTakendown"):
            raise auth_required("Account has been taken down", "AccountTakedown")
        _check_email_code(account, call.input.get("authFactorToken"))
    else:
        app_password = account.app_password(password)
        # A taken down account refuses its app passwords exactly as it refuses a wrong one.
        if app_password is None or account.taken_down:
            raise auth_required("Invalid identifier or password")
    scope = Scope.TAKENDOWN if account.taken_down else scope_for(app_password)
    return _session(host, account, host.tokens.open(account.did, scope))


def _check_email_code(account: Account, given: str | None) -> None:
    """Only the hosted service asks; its every further question is another mail."""
    if account.email_code is None:
        return
    if given is None:
        account.mails_sent += 1
        raise auth_required("A sign in code has been sent to your email address", "AuthFactorTokenRequired")
    if given != account.email_code:
        raise invalid_request("Token is invalid", "InvalidToken")


def refresh_session(host: Host, call: Call) -> Body:
    """Replace a refresh token. 401 AccountTakedown, 400 ExpiredToken once it is revoked."""
    account = _known(host, call.did)
    if account.taken_down:
        raise auth_required("Account has been taken down", "AccountTakedown")
    tokens = host.tokens.rotate(call.token_id)
    if tokens is None:
        raise invalid_request("Token has been revoked", "ExpiredToken")
    return _session(host, account, tokens)


def delete_session(host: Host, call: Call) -> Body:
    """Revoke the refresh token sent, known or not."""
    host.tokens.revoke(call.token_id)
    return None


def get_session(host: Host, call: Call) -> Body:
    """Whose access token it is. 400 for an account taken down."""
    account = _known(host, call.did)
    if account.taken_down:
        raise _unknown_user(call.did)
    return _description(host, account)


def _known(host: Host, did: str) -> Account:
    account = host.account(did)
    if account is None:
        raise _unknown_user(did)
    return account


def _unknown_user(did: str) -> XrpcError:
    return invalid_request(f"Could not find user info for account: {did}")


def _session(host: Host, account: Account, tokens: tuple[str, str]) -> dict[str, Any]:
    access, refresh = tokens
    return {"accessJwt": access, "refreshJwt": refresh, **_description(host, account)}


def _description(host: Host, account: Account) -> dict[str, Any]:
    body: dict[str, Any] = {"did": account.did}
    document = host.did_doc(account.did)
    if document is not None:
        body["didDoc"] = document
    body |= {"handle": account.handle, "email": account.email, "emailConfirmed": False}
    status = account.status
    body["active"] = status is None
    if status is not None:
        body["status"] = status
    return body


def create_account(host: Host, call: Call) -> Body:
    """Create an account under a handle of this PDS, with its DID. 400 for anything taken or malformed."""
    handle = call.input["handle"].lower()
    if HANDLE.fullmatch(handle) is None:
        raise invalid_request(f"Invalid handle (got {json.dumps(call.input['handle'])}) at $.handle")
    email = call.input.get("email")
    if not email:
        raise invalid_request("Email is required")
    if not handle.endswith(host.settings.handle_domains):
        raise invalid_request("Not a supported handle domain", "UnsupportedDomain")
    if host.accounts.find(handle) is not None:
        raise invalid_request(f"Handle already taken: {handle}")
    if host.accounts.find(email) is not None:
        raise invalid_request(f"Email already taken: {email}")
    account = Account(plc_did(handle), handle, email.lower(), call.input.get("password", ""), host.name)
    host.accounts.add(account)
    document = did_document(account.did, handle, host.url)
    host.directory.put(account.did, document)
    access, refresh = host.tokens.open(account.did, Scope.ACCESS)
    return {
        "handle": handle,
        "did": account.did,
        "didDoc": document,
        "accessJwt": access,
        "refreshJwt": refresh,
    }


def create_app_password(host: Host, call: Call) -> Body:
    """Add an app password. 500 for a name used before, as on the real PDS."""
    account = _known(host, call.did)
    if account.taken_down:
        raise auth_required("Account has been taken down", "AccountTakedown")
    privileged = call.input.get("privileged", False)
    try:
        added = account.add_app_password(call.input["name"], privileged=privileged)
    except KeyError:
        raise internal_error() from None
    return {
        "name": added.name,
        "password": added.password,
        "createdAt": added.created_at,
        "privileged": added.privileged,
    }


def deactivate_account(host: Host, call: Call) -> Body:
    """Deactivate the token's account."""
    _known(host, call.did).deactivated = True
    return None


def activate_account(host: Host, call: Call) -> Body:
    """Activate the token's account."""
    _known(host, call.did).deactivated = False
    return None


def describe_server(host: Host, _call: Call) -> Body:
    """What this PDS is."""
    return {
        "did": host.did,
        "availableUserDomains": list(host.settings.handle_domains),
        "inviteCodeRequired": False,
        "links": {},
        "contact": {},
    }


def resolve_handle(host: Host, call: Call) -> Body:
    """The DID of an active account of this PDS. 400 for any other handle."""
    handle = call.request.parameter("handle")
    if handle is None or HANDLE.fullmatch(handle.lower()) is None:
        raise internal_error()
    account = host.account(handle)
    if account is None or account.status is not None:
        raise invalid_request("Unable to resolve handle")
    return {"did": account.did}


def get_repo_status(host: Host, call: Call) -> Body:
    """Whether an account is active, and why not. 400 RepoNotFound for an unknown DID."""
    did = call.request.parameter("did")
    if did is None or not did.startswith("did:"):
        raise internal_error()
    account = host.account(did)
    if account is None:
        raise invalid_request(f"Could not find repo for DID: {did}", "RepoNotFound")
    if account.status is not None:
        return {"did": did, "active": False, "status": account.status}
    return {"did": did, "active": True, "rev": "3l4qkbwcxyz2a"}


def describe_repo(host: Host, call: Call) -> Body:
    """An account's repository, by handle or DID. Unlike `resolveHandle` it says why one cannot be had."""
    repo = call.request.parameter("repo") or ""
    account = host.account(repo)
    if account is None:
        raise invalid_request(f"Could not find repo for DID: {repo}", "RepoNotFound")
    if account.status is not None:
        raise invalid_request(f"Repo has been {account.status}: {repo}", f"Repo{account.status.capitalize()}")
    return {"handle": account.handle, "did": account.did, "collections": [], "handleIsCorrect": True}


def get_profile(host: Host, call: Call) -> Body:
    """The public profile of an active account. 400 for any other."""
    account = host.accounts.find(call.request.parameter("actor") or "")
    if account is None or account.status is not None:
        raise invalid_request("Profile not found")
    profile: dict[str, Any] = {"did": account.did, "handle": account.handle, "labels": []}
    if account.display_name:
        profile["displayName"] = account.display_name
    return profile


def update_subject_status(host: Host, call: Call) -> Body:
    """Take an account down, which ends its sessions, or restore it."""
    subject, takedown = call.input["subject"], call.input.get("takedown")
    account = host.account(subject.get("did", ""))
    if account is not None and takedown is not None:
        account.taken_down = bool(takedown.get("applied"))
        host.tokens.revoke_all(account.did)
    body = {"subject": subject}
    return body if takedown is None else {**body, "takedown": takedown}


def _login_buckets(call: Call) -> list[tuple[Limit, str]]:
    # As sent: a DID, a handle and another case of it have separate buckets.
    key = f"{call.input['identifier']}-{call.request.address}"
    return [(LOGIN_DAY, key), (LOGIN_5_MINUTES, key)]


def _create_account_buckets(call: Call) -> list[tuple[Limit, str]]:
    return [(CREATE_ACCOUNT, call.request.address)]


def _in_body(key: str) -> Callable[[Request], str | None]:
    def subject(request: Request) -> str | None:
        value = request.json()
        found = value.get(key) if isinstance(value, dict) else None
        return found if isinstance(found, str) else None

    return subject


def _in_query(name: str) -> Callable[[Request], str | None]:
    return lambda request: request.parameter(name)


def _in_token(request: Request) -> str | None:
    """The `sub` claim of whatever token was sent, unchecked."""
    payload = request.headers.get(b"authorization", b"").partition(b".")[2].partition(b".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + b"=="))
    except ValueError:
        return None
    found = claims.get("sub") if isinstance(claims, dict) else None
    return found if isinstance(found, str) else None


def _nobody(_request: Request) -> None:
    return None


_LOGIN: Schema = {
    "identifier": Key(str, required=True),
    "password": Key(str, required=True),
    "authFactorToken": Key(str),
    "allowTakendown": Key(bool),
}
_NEW_ACCOUNT: Schema = {"email": Key(str), "handle": Key(str, required=True), "password": Key(str)}
_NEW_APP_PASSWORD: Schema = {"name": Key(str, required=True), "privileged": Key(bool)}
_SUBJECT_STATUS: Schema = {"subject": Key(dict, required=True), "takedown": Key(dict)}

METHODS: Mapping[str, Method] = {
    CREATE_SESSION: Method(create_session, _in_body("identifier"), schema=_LOGIN, limits=_login_buckets),
    REFRESH_SESSION: Method(refresh_session, _in_token, Auth.REFRESH),
    DELETE_SESSION: Method(delete_session, _in_token, Auth.REFRESH_EVEN_EXPIRED),
    GET_SESSION: Method(get_session, _in_token, Auth.ANY_ACCESS, "GET"),
    "com.atproto.server.describeServer": Method(describe_server, _nobody, verb="GET"),
    "com.atproto.server.createAccount": Method(
        create_account, _in_body("handle"), Auth.OPTIONAL, schema=_NEW_ACCOUNT, limits=_create_account_buckets
    ),
    "com.atproto.server.createAppPassword": Method(
        create_app_password, _in_token, Auth.FULL_ACCESS, schema=_NEW_APP_PASSWORD
    ),
    "com.atproto.server.deactivateAccount": Method(deactivate_account, _in_token, Auth.FULL_OR_TAKENDOWN, schema={}),
    "com.atproto.server.activateAccount": Method(activate_account, _in_token, Auth.FULL_ACCESS),
    RESOLVE_HANDLE: Method(resolve_handle, _in_query("handle"), verb="GET"),
    GET_REPO_STATUS: Method(get_repo_status, _in_query("did"), verb="GET"),
    DESCRIBE_REPO: Method(describe_repo, _in_query("repo"), verb="GET"),
    GET_PROFILE: Method(get_profile, _in_query("actor"), Auth.ANY_ACCESS, "GET"),
    "com.atproto.admin.updateSubjectStatus": Method(update_subject_status, _nobody, Auth.ADMIN, schema=_SUBJECT_STATUS),
}
