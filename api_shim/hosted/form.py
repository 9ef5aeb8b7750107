"""What an end user sends: two fields, and the token of the page they were in."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from api_shim.hosted import words
from api_shim.hosted.words import Fault
from connections.bluesky.identifier import MAX_HANDLE
from connections.platforms import PLATFORMS

_SHAPE = PLATFORMS["bluesky"]

# A domain name or a DID.
_SHOWN = re.compile(rf"(?=.{{,{MAX_HANDLE}}}\Z)@?[A-Za-z0-9-]+(?:[.:][A-Za-z0-9-]+)+")

_FIELDS = 8
"""More than any browser sends of ours."""


@dataclass(frozen=True, slots=True)
class SentForm:
    """As it was typed."""

    handle: str = ""
    app_password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def faults(self) -> list[Fault]:
        """What can be seen to be wrong without asking anybody."""
        checks = (
            (not self.handle.strip(), words.NO_HANDLE),
            (len(self.handle) > _SHAPE.identifier.max_length, words.TOO_LONG_HANDLE),
            (not self.app_password.strip(), words.NO_APP_PASSWORD),
            (len(self.app_password) > _SHAPE.password.max_length, words.TOO_LONG_APP_PASSWORD),
        )
        return [fault for is_wrong, fault in checks if is_wrong]

    @property
    def handle_to_show(self) -> str:
        """What the form is filled in with when it is shown again. Nothing that may be a password in the wrong field."""
        handle = self.handle.strip()
        is_shown = _SHOWN.fullmatch(handle) and handle != self.app_password.strip()
        return handle if is_shown else ""


def parse_form(body: bytes) -> SentForm:
    """The first value of each field. Raises `ValueError` for a body that is no form."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict"):
        fields.setdefault(name, value)
    return SentForm(fields.get("handle", ""), fields.get("app_password", ""), fields.get("token", ""))
