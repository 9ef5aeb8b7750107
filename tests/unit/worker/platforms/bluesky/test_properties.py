"""Whatever a stranger types, publishes or answers, what comes of it is legal or one of our errors."""

from collections.abc import Callable
from contextlib import suppress
from json import dumps
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.bluesky.app_password import USUAL_SHAPE, tidy
from connections.bluesky.identifier import Did, Handle, is_handle, parse_did, parse_identifier
from connections.errors import IdentityUnusable, InvalidHandle, PlatformError
from tests.unit.worker.platforms.bluesky.conftest import (
    APP_PASSWORD,
    CREATE,
    DELETE,
    DID,
    HANDLE,
    OTHER_DID,
    PDS,
    World,
    deterministic,
    document,
    session,
    token,
)
from tests.unit.worker.platforms.fakes import answer
from worker.egress import Response
from worker.hints import LONGEST_WAIT
from worker.platforms.bluesky.documents import claimed_handle, pds_origin
from worker.platforms.bluesky.errors import DID_DOCUMENT, from_answer
from worker.platforms.bluesky.handles import did_in, dids_in
from worker.platforms.bluesky.lexicon import (
    CREATE_SESSION,
    DELETE_SESSION,
    DESCRIBE_REPO,
    RESOLVE_HANDLE,
    Malformed,
    find_refresh_token,
    read_document,
    read_error_name,
    read_repo_status,
    read_resolved_handle,
    read_session,
)

T = TypeVar("T")

ANY_CHARACTER = st.characters()  # halves of surrogate pairs included


def made_of(*pieces: str) -> st.SearchStrategy[str]:
    """Texts of these pieces, which come nearer to what is looked for than letters at random."""
    return st.lists(st.sampled_from(pieces) | st.text(ANY_CHARACTER, max_size=3), max_size=12).map("".join)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(ANY_CHARACTER) | st.sampled_from([DID, HANDLE]),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)


def nearly(members: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these members, each of them right, anything else, or missing."""
    return st.fixed_dictionaries({}, optional={name: st.just(value) | JSON for name, value in members.items()})


@st.composite
def broken(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """The values as JSON, sometimes with a piece cut out and other bytes put in."""
    body = dumps(draw(values)).encode()
    if draw(st.booleans()):
        return body
    start, end = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    return body[:start] + draw(st.binary(max_size=8)) + body[end:]


ENDPOINTS = made_of(
    "https://",
    "HTTP://",
    "ftp:",
    "//",
    "pds.example.com",
    "[::1]",
    ":443",
    ":99999",
    "/",
    "/xrpc",
    "?",
    "#",
    "@",
    "%2f",
)
SERVICES = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["#atproto_pds", f"{DID}#atproto_pds", "#other"]),
        "type": st.sampled_from(["AtprotoPersonalDataServer", "Other"]),
        "serviceEndpoint": ENDPOINTS | JSON,
    }
)
DOCUMENTS = nearly(document()) | st.builds(
    lambda services, claims: {**document(), "service": services, "alsoKnownAs": claims},
    st.lists(SERVICES, max_size=3),
    st.lists(made_of("at://", HANDLE, "alice", ".", "/", "\u212a", "\n"), max_size=3),
)
SESSIONS = nearly(session(didDoc=document())) | st.builds(
    lambda changes, said: session(**{**changes, "didDoc": said}),
    st.dictionaries(
        st.sampled_from(["did", "accessJwt", "refreshJwt", "active", "handle"]),
        st.sampled_from([DID, OTHER_DID, token(), token("com.atproto.access"), "", "a b", "\ud800", True, False, 7]),
        max_size=2,
    ),
    DOCUMENTS | JSON,
)
BODIES = broken(SESSIONS) | broken(DOCUMENTS) | broken(JSON) | st.binary()


def value_or_none(read: Callable[[bytes], T], body: bytes) -> T | None:
    try:
        return read(body)
    except Malformed:
        return None


def is_carriable(token: str) -> bool:
    return 0 < len(token) <= 8192 and token.isascii() and token.isprintable() and " " not in token


IDENTIFIERS = made_of(
    "@",
    "alice",
    ".",
    ".bsky.social",
    "https://bsky.app/profile/",
    "at://",
    "did:plc:",
    DID,
    "did:web:",
    "pds.example.com",
    "/post/3",
    "?x#y",
    "%40",
    "%",
    "%EF%BC%A5",
    "a" * 63,
    "-",
    ".test",
    ".invalid",
    APP_PASSWORD,
    "\u202a",
    "\uff41",
    "\u0301",
    " ",
    "\n",
)


@deterministic
@given(IDENTIFIERS | st.text(ANY_CHARACTER, max_size=300), st.booleans())
def test_an_identifier_is_legal_or_refused_in_few_words(pasted: str, allows_test: bool) -> None:
    def parse(text: str) -> Handle | Did | InvalidHandle:
        try:
            return parse_identifier(text, hosted_domain="bsky.social", allows_test=allows_test)
        except InvalidHandle as refusal:
            return refusal

    found = parse(pasted)
    if isinstance(found, InvalidHandle):
        assert len(found.message) <= 200
        assert found.message.isprintable()
        assert len(found.hint or "") <= 200
    else:
        assert is_handle(found) if isinstance(found, Handle) else parse_did(found) == found
        again = parse(str(found))
        assert (again, type(again)) == (found, type(found))


@deterministic
@given(made_of(APP_PASSWORD, "abcd", "-", " ", "\u00a0", "\u200b", "\n", "A", "1") | st.text(ANY_CHARACTER))
def test_an_app_password_gets_its_shape_or_stays_as_it_is(pasted: str) -> None:
    password = tidy(pasted)
    assert tidy(password.secret) == password
    assert (password.hint is None) == (USUAL_SHAPE.fullmatch(password.secret) is not None)
    if password.secret != pasted:
        left = iter(pasted)
        assert all(character in left for character in password.secret)
        assert password.hint is None


@deterministic
@given(broken(DOCUMENTS) | BODIES)
def test_a_document_is_malformed_or_leads_to_a_legal_origin(body: bytes) -> None:
    read = value_or_none(read_document, body)
    if read is None:
        return
    claim = claimed_handle(read)
    assert claim is None or is_handle(claim)
    with suppress(IdentityUnusable):
        origin = pds_origin(read)
        parts = urlsplit(origin)
        assert origin == f"{parts.scheme}://{parts.netloc}" == origin.lower()
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert parts.username is parts.password is None
        assert origin.isascii()
        assert origin.isprintable()
        assert not set(origin) & set(" \\%")


@deterministic
@given(BODIES)
def test_a_session_is_malformed_or_usable_and_can_be_ended(body: bytes) -> None:
    created = value_or_none(read_session, body)
    found = find_refresh_token(body)
    assert found is None or is_carriable(found)
    if created is not None:
        assert is_carriable(created.access_token)
        assert found == created.refresh_token


@deterministic
@given(BODIES)
def test_other_answers_are_malformed_or_of_their_type(body: bytes) -> None:
    assert isinstance(value_or_none(read_resolved_handle, body), str | None)
    assert isinstance(value_or_none(read_repo_status, body), str | None)
    name = read_error_name(body)
    assert name is None or (name.isascii() and name.isalnum())


def test_whatever_answers_a_login_only_our_errors_come_of_it_and_no_session_is_left(world: World) -> None:
    @deterministic
    @given(st.sampled_from([200, 200, 200, 201, 302, 400, 401, 403, 429, 500]), BODIES)
    def check(status: int, body: bytes) -> None:
        world.network.requests.clear()
        world.reply(f"POST {PDS}/xrpc/{CREATE}", answer(status, content=body))
        try:
            account = world.connect()
        except PlatformError:
            assert world.calls(CREATE) == 1
            assert world.calls(DELETE) == (find_refresh_token(body) is not None)
        else:
            assert account.external_id == DID
            assert world.calls(DELETE) == 0

    check()


HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "ratelimit-reset", "ratelimit-remaining", "ratelimit-limit", "ratelimit-policy"]),
    st.text() | st.integers().map(str) | st.floats().map(str) | made_of("Mon, 23 Nov 2026 10:00:00", " GMT", "9", "-"),
)


@deterministic
@given(
    st.sampled_from([CREATE_SESSION, DELETE_SESSION, RESOLVE_HANDLE, DESCRIBE_REPO, DID_DOCUMENT]),
    st.integers(100, 599),
    HEADERS,
    BODIES | st.just(b'{"error": "RateLimitExceeded"}'),
)
def test_every_answer_has_an_error_and_every_wait_is_bounded(
    call: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    error = from_answer(call, Response(status, headers, body))
    assert error.provider is not None
    assert error.provider.http_status == status
    assert error.retry_after is None or 0 <= error.retry_after <= LONGEST_WAIT


RECORDS = (
    st.sampled_from([f"did={DID}", f"did={OTHER_DID}", DID, f" {DID}\n"])
    | made_of("did=", DID, "did:web:pds.example.com", "did:web:localhost", " ", "\n", "v=spf1")
).map(lambda text: text.encode("utf-8", "surrogatepass"))


@deterministic
@given(st.lists(RECORDS | st.binary()))
def test_only_legal_dids_come_of_dns_records(records: list[bytes]) -> None:
    for did in dids_in(records):
        assert parse_did(did) == did
        assert f"did={did}".encode() in records


@deterministic
@given(st.integers(100, 599), RECORDS | st.binary())
def test_only_a_legal_did_comes_of_a_site(status: int, body: bytes) -> None:
    did = did_in(Response(status, {}, body))
    if did is not None:
        assert 200 <= status < 300
        assert parse_did(did) == did == body.decode().strip()


@pytest.mark.parametrize(
    ("strategy", "is_good"),
    [
        (IDENTIFIERS, lambda text: isinstance(parse_identifier(text, hosted_domain="a.b", allows_test=False), Did)),
        (RECORDS, lambda record: dids_in([record])),
        (RECORDS, lambda body: did_in(Response(200, {}, body))),
        (broken(DOCUMENTS), lambda body: pds_origin(read_document(body))),
        (BODIES, read_session),
    ],
    ids=["identifiers", "records", "sites", "documents", "sessions"],
)
def test_the_examples_reach_what_is_good_too(
    strategy: st.SearchStrategy[Any], is_good: Callable[[Any], object]
) -> None:
    good = 0

    @deterministic
    @given(strategy)
    def count(example: Any) -> None:
        nonlocal good
        with suppress(InvalidHandle, IdentityUnusable, Malformed):
            good += bool(is_good(example))

    count()
    assert good > 0
