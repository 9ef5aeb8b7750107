"""How a task stands or ended, as its row keeps it and its readers render it."""

from datetime import datetime
from typing import Any, Self

from connections.contract import Account, ErrorBody, RetryPolicy, RetryState, Timestamp, WireModel
from connections.errors import TaskExpired, UpstreamFailed


class Outcome(WireModel):
    """The account of a success, or the last error. `retry_at` is when asking again makes sense, if that is known."""

    account: Account | None = None
    error: ErrorBody | None = None
    retry_at: Timestamp | None = None

    @classmethod
    def of_error(cls, error: ErrorBody, retry_at: datetime | None = None) -> Self:
        return cls(error=error, retry_at=retry_at)

    @classmethod
    def of_expiry(cls, *, attempts: int, max_attempts: int) -> Self:
        """A task that nobody could finish in its time."""
        policy = RetryPolicy.of(
            RetryState.EXHAUSTED,
            attempts=attempts,
            max_attempts=max_attempts,
            reason="the task's time ended before it could be finished",
        )
        return cls(error=TaskExpired().describe(policy))

    def after_failures(self, *, attempts: int, max_attempts: int) -> Self | None:
        """The end of a task that was at its platform's failures when its time ended; None when it was not."""
        if self.error is None or self.error.code != UpstreamFailed.code:
            return None
        policy = RetryPolicy.of(
            RetryState.EXHAUSTED,
            attempts=attempts,
            max_attempts=max_attempts,
            reason="the task's time ended while the server was failing",
        )
        return self.model_copy(update={"error": self.error.model_copy(update={"retry_policy": policy})})

    @property
    def cause(self) -> str | None:
        """In one word why there is no account: the code of the issue, else of the error, in lower case."""
        if self.error is None:
            return None
        return self.error.issues[0].code if self.error.issues else self.error.normalized_code

    def to_row(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_row(cls, outcome: dict[str, Any] | None) -> Self:
        return cls.model_validate(outcome or {})
