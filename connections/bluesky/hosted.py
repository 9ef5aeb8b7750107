"""The hosted service: whose handles are its own, and where they log in."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from connections.settings import Settings
from connections.urls import host_of


@dataclass(frozen=True, slots=True)
class HostedService:
    """`origin` is that of its entryway, `host` how budgets are kept for that, `domain` what its handles end in."""

    origin: str
    host: str
    domain: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        origin = settings.bluesky_url
        return cls(origin=origin, host=host_of(origin), domain=urlsplit(origin).hostname or "")

    def gives_out(self, name: str) -> bool:
        """Whether a handle or DID in normal form is a handle of its own."""
        return name.endswith("." + self.domain)
