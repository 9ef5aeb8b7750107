"""What a request's address is called where it is counted or logged."""

from dataclasses import dataclass

from starlette.types import Scope

NO_ROUTE = "unmatched"

# Those that have a meaning here. Any other is whatever a caller wrote.
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


@dataclass(frozen=True, slots=True)
class Named:
    """Stands in for a route of the framework's."""

    path_format: str


def route_of(scope: Scope) -> str:
    """The template of its route. Never the address itself, which is whatever a caller wrote."""
    path: str = getattr(scope.get("route"), "path_format", NO_ROUTE)
    return path
