"""Reads the `Idempotency-Key` header. (IETF draft "The Idempotency-Key HTTP Header Field".)"""

import re
from collections.abc import Sequence

from connections.errors import BadRequest

HEADER = "Idempotency-Key"

# The draft's quoted string, or the same without its quotes, which is what most clients send.
_VISIBLE = r"[!#-\[\]-~]{1,255}"
KEY_PATTERN = rf'^("{_VISIBLE}"|{_VISIBLE})$'


def parse_idempotency_key(values: Sequence[str]) -> str | None:
    """The key in all values of the header; None when there is none. Raises `BadRequest` for anything else."""
    match values:
        case []:
            return None
        case [only] if re.fullmatch(KEY_PATTERN, only):
            return only.strip('"')
    raise BadRequest("Idempotency-Key must be one value of 1 to 255 visible ASCII characters.")
