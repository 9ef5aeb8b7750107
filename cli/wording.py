"""What the API answers, in words for a terminal."""

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


def error_lines(answer: ErrorAnswer) -> list[str]:
    error = answer.error
    more = [issue.message for issue in error.issues or [] if issue.message != error.message]
    return [
        f"Not connected: {error.message}",
        *(f"  - {message}" for message in more),
        *_table(
            {
                "hint": error.hint,
                "next": _NEXT_STEPS.get(error.next_action) if error.next_action else None,
                "code": error.code,
                "request": answer.request_id,
            }
        ),
    ]


def _table(rows: dict[str, str | None]) -> list[str]:
    return [f"  {name:<8} {value}" for name, value in rows.items() if value]
