"""Bodies of connect requests, as documented; parsing with precise issues is `intake`'s."""

from pydantic import BaseModel, ConfigDict, Field


class BlueskyCredentials(BaseModel):
    """Handle and app password; `identifier` and `password` are accepted because the published samples send them."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    handle: str = Field(
        description="Handle or DID. `identifier` is accepted as an alias.",
        examples=["alice.bsky.social"],
        min_length=1,
        max_length=2048,
    )
    app_password: str = Field(
        description="An app password (Settings → App passwords), never the main password. "
        "`password` is accepted as an alias.",
        examples=["abcd-efgh-2345-wxyz"],
        min_length=1,
        max_length=512,
        repr=False,
    )


class ReconnectRequest(BaseModel):
    """Body of `POST /v1/accounts/{account_id}/reconnect`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    platform: str = Field(default="bluesky", description="That of the account, if it is told.", examples=["bluesky"])
    credentials: BlueskyCredentials


class ConnectRequest(BaseModel):
    """Body of `POST /v1/accounts/connect`, as documented; parsing with precise issues is `intake`'s."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    profile_id: str | None = Field(
        default=None,
        description="Profile that will own the account; required when the workspace has more than one.",
    )
    platform: str = Field(description="`bluesky`.", examples=["bluesky"])
    credentials: BlueskyCredentials
