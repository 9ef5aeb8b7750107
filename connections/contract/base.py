"""What all of the wire is made of: models, instants, pages."""

from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T10:00:00.123Z`: UTC, milliseconds, as RFC 3339 writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


T = TypeVar("T")


# A member that is left out of the rendered JSON when there is nothing to say; a plain `T | None` is rendered as null.
Maybe = Annotated[T | None, Field(exclude_if=lambda value: value is None)]


class WireModel(BaseModel):
    """Immutable, and indifferent to members of a later version."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PageMeta(WireModel):
    """Where the next page begins; `next_cursor` is null on the last one."""

    limit: int
    next_cursor: str | None
    has_more: bool
