import time

import pytest

from connections.bluesky.identifier import Did, Handle
from connections.errors import HandleMismatch, IdentityUnusable
from tests.unit.worker.platforms.bluesky.conftest import DID, World, document
from tests.unit.worker.platforms.fakes import answer
from worker.circuit import Circuits
from worker.platforms.bluesky.documents import Documents, check_claim, claimed_handle, pds_origin
from worker.platforms.bluesky.lexicon import Document, Malformed, read_document


def with_endpoint(endpoint: str | None) -> Document:
    return Document(DID, (), endpoint)


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://pds.example.com", "https://pds.example.com"),
        ("https://PDS.example.com", "https://pds.example.com"),
        ("https://pds.example.com/", "https://pds.example.com"),
        ("https://pds.example.com:8443", "https://pds.example.com:8443"),
        ("http://localhost:2583", "http://localhost:2583"),
        ("https://[2606:2800:220:1::1]:8443", "https://[2606:2800:220:1::1]:8443"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(endpoint: str, origin: str) -> None:
    assert pds_origin(with_endpoint(endpoint)) == origin


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "",
        "pds.example.com",
        "//pds.example.com",
        "ftp://pds.example.com",
        "file:///etc/passwd",
        "https://",
        "https:///xrpc",
        "https://pds.example.com/xrpc",
        "https://pds.example.com//",
        "https://pds.example.com?x=1",
        "https://pds.example.com#x",
        "https://alice:secret@pds.example.com",
        "https://pds.example.com\\@10.0.0.1",
        "https://pds.example.com:",
        "https://pds.example.com:443443",
        "https://pds.example.com:٤٤٣",
        "https://pds.example.com\n",
        " https://pds.example.com",
        "https://pds.exam\tple.com",
        "https://pds。example.com",
        "https://pds.example.\u212aim",
        "https://pds.example.com%2f@10.0.0.1",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_anything_else_is_no_endpoint(endpoint: str | None) -> None:
    with pytest.raises(IdentityUnusable):
        pds_origin(with_endpoint(endpoint))


@pytest.mark.parametrize(
    ("known_as", "handle"),
    [
        (("at://alice.example.com",), "alice.example.com"),
        (("at://Alice.Example.com",), "alice.example.com"),
        (("https://alice.example.com", "at://alice.example.com"), "alice.example.com"),
        (("at://no_handle", "at://alice.example.com", "at://bob.example.com"), "alice.example.com"),
        (("at://alice.example.com/path",), None),
        (("at://\u212aevin.example.com",), None),
        (("alice.example.com",), None),
        ((), None),
    ],
)
def test_the_first_valid_claim_counts(known_as: tuple[str, ...], handle: str | None) -> None:
    assert claimed_handle(Document(DID, known_as, None)) == handle


def test_a_claim_must_be_the_handle_given() -> None:
    document = Document(DID, ("at://alice.example.com", "at://bob.example.com"), None)
    check_claim(document, Handle("alice.example.com"))
    with pytest.raises(HandleMismatch):
        check_claim(document, Handle("bob.example.com"))


SERVICE = b'{"id": "%s", "type": "%s", "serviceEndpoint": %s}'


@pytest.mark.parametrize(
    ("services", "endpoint"),
    [
        ([(b"#atproto_pds", b"AtprotoPersonalDataServer", b'"https://a.example"')], "https://a.example"),
        ([(DID.encode() + b"#atproto_pds", b"AtprotoPersonalDataServer", b'"https://a.example"')], "https://a.example"),
        (
            [
                (b"#bsky_notif", b"BskyNotificationService", b'"https://b.example"'),
                (b"#atproto_pds", b"AtprotoPersonalDataServer", b'"https://a.example"'),
                (b"#atproto_pds", b"AtprotoPersonalDataServer", b'"https://c.example"'),
            ],
            "https://a.example",
        ),
        ([(b"#atproto_pds", b"SomethingElse", b'"https://a.example"')], None),
        ([(b"did:plc:other#atproto_pds", b"AtprotoPersonalDataServer", b'"https://a.example"')], None),
        ([(b"#atproto_pds", b"AtprotoPersonalDataServer", b'{"uri": "https://a.example"}')], None),
        ([(b"#atproto_pds", b"AtprotoPersonalDataServer", b"7")], None),
        ([], None),
    ],
)
def test_the_pds_is_the_first_service_of_its_id_and_type(
    services: list[tuple[bytes, bytes, bytes]], endpoint: str | None
) -> None:
    body = b'{"id": "%s", "service": [%s]}' % (DID.encode(), b",".join(SERVICE % service for service in services))
    assert read_document(body).pds_endpoint == endpoint


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"id": 7}', b'{"id": "x", "service": "none"}', b"\xff"]
)
def test_what_is_no_document(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_document(body)


def test_nothing_of_a_document_is_kept_that_nobody_needs(world: World) -> None:
    """Strangers' documents are remembered by the thousand."""
    known_as = tuple(f"at://x{number}.example.com" for number in range(2_000))
    world.reply("plc.directory", answer(200, document(claims=known_as, endpoint="https://" + "a" * 5_000)))
    documents = Documents(world.egress, world.settings, Circuits())
    kept = documents.fetch(Did(DID), deadline=time.monotonic() + 5)

    assert kept == Document(DID, known_as[:1], None)
