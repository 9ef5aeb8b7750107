"""App passwords, as people paste them.

They look like `abcd-efgh-2345-wxyz` on Bluesky, but another PDS may issue others: the shape is a hint, never a rule.
"""

import re
from dataclasses import dataclass, field

from connections.bluesky.invisible import without_invisible

USUAL_SHAPE = re.compile(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}")

UNUSUAL_SHAPE_HINT = (
    "App passwords usually look like abcd-efgh-2345-wxyz. "
    "Create one in Bluesky under Settings → App passwords and send it exactly as shown there."
)


@dataclass(frozen=True, slots=True)
class AppPassword:
    """What is sent, and whether it looks like an app password. Never printed."""

    secret: str = field(repr=False)
    has_usual_shape: bool

    @property
    def hint(self) -> str | None:
        """What to add when the PDS rejects it."""
        return None if self.has_usual_shape else UNUSUAL_SHAPE_HINT


def tidy(pasted: str) -> AppPassword:
    """Blanks and invisible marks go only where an app password remains; anything else may be a password that has them
    and stays as it is."""
    bare = "".join(without_invisible(pasted).split())
    if USUAL_SHAPE.fullmatch(bare):
        return AppPassword(bare, has_usual_shape=True)
    return AppPassword(pasted, has_usual_shape=False)
