"""What the API answers, in words for a terminal."""

import math

from connections.contract import Account, ErrorAnswer, NextAction

# Where the request is at fault, the message says what to change.
_NEXT_STEPS = {
    NextAction.WAIT_AND_RETRY: "wait a little and try again",
    NextAction.RECONNECT_ACCOUNT: "check handle and app password, or make a new app password, and try again",
    NextAction.CONTACT_SUPPORT: "ask whoever runs this service, and name the request",
}


def account_lines(account: Account) -> list[str]:
    return [
        f"Connected {account.account_name or account.external_account_id or account.id}",
        *_table({"account": account.id, "DID": account.external_account_id, "profile": account.profile_id}),
    ]


def error_lines(answer: ErrorAnswer, retry_after: int | None = None, *, outcome: str = "Not connected") -> list[str]:
    """`retry_after` is in seconds; `outcome` says what came of the error."""
    error = answer.error
    more = [issue.message for issue in error.issues or [] if issue.message != error.message]
    return [
        f"{outcome}: {error.message}",
        *(f"  - {message}" for message in more),
        *_table(
            {
                "hint": error.hint,
                "next": _next_step(error.next_action, retry_after),
                "code": error.code,
                "request": answer.request_id,
            }
        ),
    ]


def _next_step(action: NextAction | None, retry_after: int | None) -> str | None:
    if action is NextAction.WAIT_AND_RETRY and retry_after is not None:
        return f"try again in {roughly(retry_after)}"
    return action and _NEXT_STEPS.get(action)


def roughly(seconds: int) -> str:
    """Rounded up, so that nobody comes back too early: `40 s`, `14 min`, `3 h`."""
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds > 1.5 * length:
            return f"{math.ceil(seconds / length)} {unit}"
    return f"{seconds} s"


def _table(rows: dict[str, str | None]) -> list[str]:
    return [f"  {name:<8} {value}" for name, value in rows.items() if value]
