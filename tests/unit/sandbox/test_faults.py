"""What each fault makes of an answer, and which request it strikes."""

import gzip
import json
from typing import Any

import pytest

from sandbox import faults
from sandbox.faults import Fault, fault_from_json
from sandbox.message import Part, Response, json_response
from sandbox.methods import CREATE_SESSION, DESCRIBE_REPO, GET_SESSION, REFRESH_SESSION, RESOLVE_HANDLE
from sandbox.orders import FaultBook, strike

ALICE = {"did:plc:alice", "alice.test"}
SESSION = {"did": "did:plc:alice", "handle": "alice.test", "accessJwt": "a"}

EVERY_KIND: list[Fault] = [
    faults.Status(status=503, headers={"Server": "x"}),
    faults.RateLimited(reset=10, retry_after="soon"),
    faults.Garbage(form="wrong_types"),
    faults.Huge(size=1000),
    faults.GzipBomb(size=1000),
    faults.Redirect(to="http://127.0.0.1:1/", status=308),
    faults.Delay(after=1.5),
    faults.Drip(part=Part.HEADERS, step=2),
    faults.Drop(at=Part.BODY),
    faults.WrongDid(did="did:plc:other"),
    faults.DidDocElsewhere(pds="http://127.0.0.1:1"),
]


def honest() -> Response:
    return json_response(200, SESSION)


def body(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


def parsed(response: Response) -> Any:
    return json.loads(body(response))


@pytest.mark.parametrize("fault", EVERY_KIND, ids=lambda fault: fault.kind)
def test_an_order_survives_the_control_api(fault: Fault) -> None:
    assert fault_from_json(json.loads(json.dumps(fault.to_json()))) == fault


def test_every_kind_is_listed() -> None:
    assert {type(fault) for fault in EVERY_KIND} == set(Fault.__subclasses__())


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"kind": "earthquake"},
        {"kind": "status"},
        {"kind": "status", "status": 500, "colour": "red"},
        {"kind": "garbage", "form": "poetry"},
    ],
)
def test_a_wrong_order_is_refused(order: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        fault_from_json(order)


@pytest.mark.parametrize(
    ("fault", "strikes"),
    [
        (faults.Status(status=500), True),
        (faults.Status(status=500, host="pds"), True),
        (faults.Status(status=500, host="plc"), False),
        (faults.Status(status=500, method=CREATE_SESSION), True),
        (faults.Status(status=500, method=GET_SESSION), False),
        (faults.Status(status=500, account="Alice.Test"), True),
        (faults.Status(status=500, account="did:plc:alice"), True),
        (faults.Status(status=500, account="bob.test"), False),
        (faults.Status(status=500, times=0), False),
    ],
)
def test_where_an_order_strikes(fault: Fault, strikes: bool) -> None:
    book = FaultBook()
    book.order(fault)
    assert (book.take("pds", CREATE_SESSION, ALICE) is fault) is strikes


def test_orders_follow_each_other_and_then_all_is_well() -> None:
    book = FaultBook()
    first, second = faults.Status(status=502, times=2), faults.Status(status=503, times=1)
    book.order(first)
    book.order(second)
    assert [book.take("pds", CREATE_SESSION, ALICE) for _ in range(4)] == [first, first, second, None]
    assert [order.struck for order in book.orders()] == [2, 1]


def test_orders_are_taken_back() -> None:
    book = FaultBook()
    mistake = book.order(faults.Status(status=500))
    kept = faults.Status(status=501)
    book.order(kept)
    book.cancel(mistake)
    assert book.take("pds", CREATE_SESSION, ALICE) is kept
    book.clear()
    assert not book


def test_status_with_an_error_or_with_any_body() -> None:
    response = strike(faults.Status(status=502, error="UpstreamFailure", message="Upstream Failure"), honest)
    assert (response.status, parsed(response)["error"]) == (502, "UpstreamFailure")
    assert body(strike(faults.Status(status=502, body="<html>"), honest)) == b"<html>"


def test_rate_limit_headers_can_be_garbage_or_missing() -> None:
    response = strike(faults.RateLimited(reset="tomorrow", retry_after=7.2, remaining="12"), honest)
    headers = dict(response.headers)
    assert (headers[b"RateLimit-Reset"], headers[b"Retry-After"]) == (b"tomorrow", b"7")
    assert headers[b"RateLimit-Remaining"] == b"12"
    assert b"RateLimit-Reset" not in dict(strike(faults.RateLimited(reset=None), honest).headers)


@pytest.mark.parametrize("form", ["html", "broken_json", "empty", "binary"])
def test_garbage_that_is_no_json(form: str) -> None:
    response = strike(faults.Garbage(form=form), honest)
    assert response.status == 200
    with pytest.raises(ValueError):
        parsed(response)


def test_huge_and_bomb_are_as_large_as_ordered() -> None:
    size = 3 * 1024 * 1024
    assert len(parsed(strike(faults.Huge(size=size), honest))) == size
    bomb = body(strike(faults.GzipBomb(size=size), honest))
    assert len(bomb) < size // 500
    assert len(json.loads(gzip.decompress(bomb))) == size


def test_another_did_in_a_session_and_in_a_document() -> None:
    lie = faults.WrongDid(did="did:plc:mallory")
    assert parsed(strike(lie, honest)) == {**SESSION, "did": "did:plc:mallory"}
    document = strike(lie, lambda: json_response(200, {"id": "did:plc:alice"}))
    assert parsed(document) == {"id": "did:plc:mallory"}


def test_a_lie_leaves_a_refusal_alone() -> None:
    refused = json_response(401, {"error": "AuthenticationRequired"})
    assert parsed(strike(faults.WrongDid(), lambda: refused)) == {"error": "AuthenticationRequired"}


def test_a_document_that_points_elsewhere() -> None:
    document = parsed(strike(faults.DidDocElsewhere(pds="http://127.0.0.1:1"), honest))["didDoc"]
    assert document["id"] == "did:plc:alice"
    assert document["service"][0]["serviceEndpoint"] == "http://127.0.0.1:1"


def test_a_document_in_a_session_is_not_looked_for_elsewhere() -> None:
    book = FaultBook()
    elsewhere = faults.DidDocElsewhere(pds="http://127.0.0.1:1", times=3)
    book.order(elsewhere)
    for host, method in (("pds", RESOLVE_HANDLE), ("pds", DESCRIBE_REPO), ("plc", "/{did}")):
        assert book.take(host, method, ALICE) is None
    for method in (CREATE_SESSION, GET_SESSION, REFRESH_SESSION):
        assert book.take("pds", method, ALICE) is elsewhere


def test_every_kind_can_be_late() -> None:
    assert strike(faults.Status(status=500, after=2.0), honest).delivery.delay == 2.0
    assert strike(faults.Delay(after=2.0), honest).delivery.delay == 2.0


def test_dropped_before_nothing_has_been_done() -> None:
    def performed() -> Response:
        raise AssertionError("the request was performed")

    assert strike(faults.Drop(), performed).delivery.drop_at is Part.BEFORE
    assert strike(faults.Drop(at=Part.BODY), honest).delivery.drop_at is Part.BODY
