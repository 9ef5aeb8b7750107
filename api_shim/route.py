"""What a request's address is called where it is counted or logged."""

from dataclasses import dataclass

from starlette.types import Scope

_NO_ROUTE = "unmatched"


@dataclass(frozen=True, slots=True)
class Named:
    """Stands in for a route of the framework's."""

    path: str


def route_of(scope: Scope) -> str:
    """The template of its route. Never the address itself, which is whatever a caller wrote."""
    path: str = getattr(scope.get("route"), "path", _NO_ROUTE)
    return path
