"""What the form says about what went wrong: to people who know their handle and have never heard of an API."""

from dataclasses import dataclass

from connections.contract import ErrorBody
from connections.outcome import Outcome

HANDLE = "handle"
APP_PASSWORD = "app_password"  # noqa: S105  a field's name


@dataclass(frozen=True, slots=True)
class Fault:
    """`field` is the one to look at, if it is one; `status` is HTTP's."""

    text: str
    field: str | None = None
    status: int = 422


NO_HANDLE = Fault("Enter your handle.", HANDLE)
NO_APP_PASSWORD = Fault("Enter an app password.", APP_PASSWORD)
TOO_LONG_HANDLE = Fault("This is too long for a handle. A handle looks like alice.bsky.social.", HANDLE)
TOO_LONG_APP_PASSWORD = Fault("This is too long for an app password.", APP_PASSWORD)
UNREADABLE = Fault("The form arrived damaged. Please fill it in once more.", status=400)
FORGED = Fault(
    "We could not tell that this form was sent by you. Please fill it in once more. If you see this again, allow "
    "cookies for this site.",
    status=403,
)

_UNKNOWN = Fault("Something went wrong on our side. Please try again in a few minutes.", status=500)

# By the cause of an outcome: the code of its issue, else of the error.
FAULTS = {
    "invalid_handle": Fault("This is not a handle. A handle looks like alice.bsky.social.", HANDLE),
    "handle_not_found": Fault("There is no account with this handle. Check how it is spelt.", HANDLE),
    "handle_mismatch": Fault(
        "This handle leads to an account that goes by another name. Use the handle that your profile shows.", HANDLE
    ),
    "identity_unusable": Fault(
        "The account behind this handle was deleted or has no server that we can reach.", HANDLE
    ),
    "host_not_allowed": Fault("This account is on a server that we cannot connect to.", HANDLE),
    "account_unavailable": Fault(
        "Bluesky says that this account is deactivated, suspended or taken down. It cannot be connected as it is.",
        HANDLE,
    ),
    "main_password_rejected": Fault(
        "This is your account's main password. Please create an app password and enter that: it can be taken back at "
        "any time. We have not kept what you entered.",
        APP_PASSWORD,
    ),
    "unauthorized": Fault(
        "Bluesky did not accept this handle with this app password. Check both, or create a new app password.",
        APP_PASSWORD,
    ),
    "account_already_connected": Fault("This account is connected already. There is nothing more to do.", status=409),
    "rate_limited": Fault(
        "There were too many failed tries to sign in to this account. Please wait a quarter of an hour.", status=429
    ),
    "upstream_rate_limited": Fault(
        "Bluesky is not taking more sign-ins right now. Please try again later.", status=429
    ),
    "upstream_error": Fault(
        "The server of this account does not answer right now. Please try again in a few minutes.", status=503
    ),
    "connect_timeout": Fault("This took too long, and we have given up. Please try again.", status=503),
    "service_unavailable": Fault("We cannot do this right now. Please try again in a few minutes.", status=503),
    "queue_unavailable": Fault("We cannot do this right now. Please try again in a few minutes.", status=503),
    "unknown_profile": Fault("This link no longer leads anywhere. Please ask for a new one.", status=410),
    "no_profile": Fault("This link no longer leads anywhere. Please ask for a new one.", status=410),
}


def fault_of(error: ErrorBody) -> Fault:
    """What to say about the error that a try ended with."""
    fault = FAULTS.get(Outcome.of_error(error).cause or "", _UNKNOWN)
    # Why this is no handle, we say in more than one way, and all of them are ours.
    return Fault(error.message, HANDLE) if fault is FAULTS["invalid_handle"] else fault
