"""Links to the hosted form."""

from enum import StrEnum

from pydantic import BaseModel, Field

from connections.contract.base import Timestamp, WireModel


class ConnectSessionStatus(StrEnum):
    """Whether an account came of it. `expired` when none did and the link no longer works."""

    PENDING = "pending"
    COMPLETED = "completed"
    EXPIRED = "expired"


class ConnectSession(WireModel):
    """A link to the hosted form. `url` is told once, when it is made: afterwards it is empty, as nobody has it."""

    id: str
    url: str = Field(default="", repr=False)
    allow_quickstart_creds: bool
    status: ConnectSessionStatus
    expires_at: Timestamp
    platform: str
    external_user_id: str
    external_user_email: str | None
    return_url: str | None
    created_at: Timestamp
    completed_at: Timestamp | None
    completed_social_account_id: str | None


class ConnectSessionAnswer(WireModel):
    data: ConnectSession
    request_id: str


# As the intake has them, too. An end user's name is any text with something to see in it; NUL cannot be stored.
EXTERNAL_USER_ID_PATTERN = r"^[^\x00]*[^\s\x00-\x1f\x85][^\x00]*$"


EMAIL_PATTERN = r"^[^@\s\x00-\x1f\x7f\x85]+@[^@\s\x00-\x1f\x7f\x85]+$"


class ConnectSessionRequest(BaseModel):
    """Body of `POST /v1/connect/sessions`; parsing with precise issues is `connect_sessions.intake`'s."""

    platform: str = Field(description="`bluesky`.", examples=["bluesky"])
    external_user_id: str = Field(
        description="Your own name for the end user, told again with the account.",
        max_length=255,
        pattern=EXTERNAL_USER_ID_PATTERN,
    )
    external_user_email: str | None = Field(
        default=None, description="Told again with the account.", max_length=320, pattern=EMAIL_PATTERN
    )
    return_url: str | None = Field(
        default=None,
        description="Where the form sends the end user afterwards, with `connect_session_id` and `status=completed` in "
        "the query. It must be below one of the return URLs of the workspace.",
        max_length=2048,
        pattern=r"^[^\x00]*$",
    )
    profile_id: str | None = Field(
        default=None,
        description="Profile that will own the account, and whose branding the form shows; required when the workspace "
        "has more than one.",
    )
    allow_quickstart_creds: bool | None = Field(
        default=None, description="Kept and told again. It means nothing for accounts that are connected by password."
    )
