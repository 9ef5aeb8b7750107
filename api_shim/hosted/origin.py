"""Where end users reach this service: what links begin with, and what a form must come from."""

from starlette.requests import Request

from connections.errors import BadRequest, NoHostedForm
from connections.settings import Settings
from connections.urls import is_origin


def public_origin(settings: Settings, request: Request) -> str:
    """`https://connect.example.com`. Raises `NoHostedForm` in production where no setting says it, and `BadRequest`.

    In development it is what the request itself was sent to, unless a setting says otherwise: there the header decides
    where a developer's own link leads, in production it would be whoever sends the header.
    """
    if settings.public_url is not None:
        return settings.public_url
    if settings.is_production:
        raise NoHostedForm
    origin = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if not is_origin(origin) or origin.endswith("/"):
        raise BadRequest("The Host header names no host.")
    return origin
