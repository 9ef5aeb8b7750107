"""How the form looks to those who are sent to it: the profile's name, logo and colour, as far as they can be shown."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from api_shim.hosted.colour import ink_on, is_colour
from connections.repository.connect_sessions import VisitedSession
from connections.urls import is_https_url


@dataclass(frozen=True, slots=True)
class Branding:
    """`logo_origin` is where the logo comes from, the one address beside ours that the page may load something of."""

    name: str
    logo_url: str = ""
    logo_origin: str = ""
    style: str = ""

    @classmethod
    def of(cls, session: VisitedSession) -> Self:
        logo_url = session.logo_url or ""
        logo_origin = _origin(logo_url)
        return cls(session.name, logo_url if logo_origin else "", logo_origin, _style(session.primary_color or ""))

    @property
    def initial(self) -> str:
        """What stands in for a logo."""
        return self.name.strip()[:1].upper()


def _origin(url: str) -> str:
    """`https://host:port`, as a policy names it; empty when the URL is none from which a picture can be shown."""
    return f"https://{urlsplit(url).netloc}" if is_https_url(url) else ""


def _style(colour: str) -> str:
    if not is_colour(colour):
        return ""
    return f":root{{--brand:{colour};--on-brand:{ink_on(colour)}}}"
