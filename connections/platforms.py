"""The platforms that callers can name.

A second platform is one entry in `PLATFORMS` and one folder of the same name in `worker/platforms/`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One credential a platform asks for. `aliases` are other names under which callers send it."""

    name: str
    aliases: tuple[str, ...]
    max_length: int


@dataclass(frozen=True, slots=True)
class PlatformShape:
    """`identifier` says who, `password` proves it; both are sealed before they are stored."""

    name: str
    identifier: CredentialField
    password: CredentialField

    @property
    def fields(self) -> tuple[CredentialField, CredentialField]:
        return (self.identifier, self.password)


PLATFORMS = {
    "bluesky": PlatformShape(
        name="bluesky",
        # A handle has at most 253 characters; profile links and DIDs are accepted too, so the cap is looser.
        identifier=CredentialField("handle", ("identifier",), max_length=2048),
        # The PDS refuses longer ones with the answer of a wrong password.
        password=CredentialField("app_password", ("password",), max_length=512),
    ),
}

OAUTH_PLATFORMS = frozenset(
    {"twitter", "linkedin", "instagram", "threads", "tiktok", "youtube", "pinterest", "facebook"}
)
