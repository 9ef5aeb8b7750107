"""One attempt: the event is sent, and its receiver took it or did not."""

import time
from collections.abc import Callable

from connections.repository.deliveries import ClaimedDelivery
from connections.webhooks.delivering import Claim, Failure
from worker.egress import (
    AddressRefused,
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    Egress,
    EgressError,
    NameUnavailable,
    NoSuchName,
    Policy,
    Response,
    TlsFailed,
    TooLarge,
    UrlRefused,
)
from worker.hints import retry_after
from worker.webhooks import message

SEND_SECONDS = 5.0
"""A receiver may take so long to answer, connecting included."""

_RECEIVER = Policy(any_port=True, any_loopback=True)

WORDS: dict[type[EgressError], str] = {
    UrlRefused: "host_not_allowed",
    AddressRefused: "host_not_allowed",
    NoSuchName: "name_not_found",
    NameUnavailable: "name_unavailable",
    TlsFailed: "tls_failed",
    ConnectFailed: "connection_failed",
    ConnectionLost: "connection_lost",
    DeadlineExceeded: "timeout",
    TooLarge: "answer_too_large",
    BadAnswer: "bad_answer",
}
"""What `last_error` says. The kinds come before what they are kinds of."""

_NO_SECRET = Failure("secret_unavailable", is_of_receiver=True)

Send = Callable[[Claim, ClaimedDelivery], Failure | int]


class Sender:
    """Used by many threads at once."""

    def __init__(self, egress: Egress, *, seconds: float = SEND_SECONDS) -> None:
        self._egress = egress
        self._seconds = seconds

    def send(self, claim: Claim, delivery: ClaimedDelivery) -> Failure | int:
        """The status of the answer that took it, or why it was not taken. Nothing else of an answer is kept."""
        if claim.secret is None:
            return _NO_SECRET
        content = message.body(delivery)
        try:
            response = self._egress.request(
                "POST",
                claim.url,
                content=content,
                headers=message.headers(delivery, content, claim.secret),
                deadline=time.monotonic() + self._seconds,
                policy=_RECEIVER,
            )
        except EgressError as error:
            return Failure(_word(error), is_of_receiver=True)
        return read(response, now=time.time())


def read(response: Response, *, now: float) -> Failure | int:
    """What an answer means. `now` is Unix time."""
    status = response.status
    if 200 <= status < 300:
        return status
    if status == 429 or status >= 500:
        word = "rate_limited" if status == 429 else "server_error"
        asked = retry_after(response.headers, now=now) if status in {429, 503} else None
        return Failure(word, status, is_of_receiver=True, asked_to_wait=asked)
    if status == 410:
        return Failure("gone", status, is_final=True)
    return Failure("redirected" if 300 <= status < 400 else "rejected", status)


def _word(error: EgressError) -> str:
    return next(word for kind, word in WORDS.items() if isinstance(error, kind))
