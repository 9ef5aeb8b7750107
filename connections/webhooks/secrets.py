"""What signs a delivery: a secret of the caller's, or one that is made for it."""

import re
import secrets

from connections.vault import SealedFor

MIN_SECRET, MAX_SECRET = 16, 255

# What is typed, copied and put into headers without harm.
SECRET_PATTERN = f"^[!-~]{{{MIN_SECRET},{MAX_SECRET}}}$"
_VISIBLE = re.compile(SECRET_PATTERN)

_PREFIX = "whsec_"
_RANDOM_BYTES = 32
_SHOWN = 4

SECRET = "secret"  # noqa: S105
"""Under which name it is sealed."""


def new_secret() -> str:
    """256 random bits, `whsec_…`."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def is_secret(text: str) -> bool:
    return _VISIBLE.fullmatch(text) is not None


def preview(secret: str) -> str:
    """Its end, which tells it from others and opens nothing: 4 of at least 16 characters."""
    return f"{_PREFIX if secret.startswith(_PREFIX) else ''}…{secret[-_SHOWN:]}"


def sealed_for(webhook_id: str, workspace_id: str) -> SealedFor:
    return SealedFor(task_id=webhook_id, workspace_id=workspace_id)
