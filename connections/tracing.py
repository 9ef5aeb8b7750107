"""Traces: what a request does and how long each part takes, from the API through the queue to upstreams. ADR 24.

Whoever has something to tell opens a `span` here, whether anybody listens or not. Nobody does unless `CONNECTOR_TRACES`
says so: then a span is one object that is always the same, and OpenTelemetry's SDK is not imported. What is told has
no secret, no handle, no DID and no path that a caller or a stranger wrote.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, auto
from types import TracebackType
from typing import ClassVar, Protocol, Self

from connections.errors import ConnectorError, OutOfBudget, Refusal, RequestError
from connections.messages import Queue
from connections.settings import Settings, SettingsError

Value = str | bool | int | float
Attributes = Mapping[str, Value]
"""By the names of OpenTelemetry's semantic conventions, or `connector.…`."""

_NONE: Attributes = {}


class Kind(Enum):
    """OpenTelemetry's `SpanKind`, under the same names."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()
    PRODUCER = auto()
    CONSUMER = auto()


class Span(Protocol):
    """One part of a trace, while it lasts."""

    def rename(self, name: str) -> None: ...

    def note(self, attributes: Attributes) -> None: ...

    def fail(self, cause: str) -> None:
        """Marks it as failed. `cause` is one of few words, never a text about one case."""


class Tracer(Protocol):
    """What makes spans. Used by many threads and by the event loop."""

    def span(
        self, name: str, kind: Kind, attributes: Attributes, *, parent: str | None, links: Sequence[str]
    ) -> AbstractContextManager[Span]: ...

    def current(self) -> Span: ...

    def traceparent(self) -> str | None: ...

    def trace_id(self) -> str | None: ...

    def flush(self) -> None:
        """Exports what is left, within a few seconds or not at all, and nothing afterwards."""


class _NoSpan:
    """A span that nobody looks at."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def rename(self, name: str) -> None:
        pass

    def note(self, attributes: Attributes) -> None:
        pass

    def fail(self, cause: str) -> None:
        pass


_NO_SPAN = _NoSpan()


class NoTracer:
    """Costs next to nothing."""

    def span(
        self,
        name: str,  # noqa: ARG002
        kind: Kind,  # noqa: ARG002
        attributes: Attributes,  # noqa: ARG002
        *,
        parent: str | None,  # noqa: ARG002
        links: Sequence[str],  # noqa: ARG002
    ) -> AbstractContextManager[Span]:
        return _NO_SPAN

    def current(self) -> Span:
        return _NO_SPAN

    def traceparent(self) -> str | None:
        return None

    def trace_id(self) -> str | None:
        return None

    def flush(self) -> None:
        pass


class _Chosen:
    """One for the process, as its log is: who tells of something does not choose who hears it."""

    tracer: ClassVar[Tracer] = NoTracer()


def span(
    name: str,
    kind: Kind = Kind.INTERNAL,
    attributes: Attributes = _NONE,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
) -> AbstractContextManager[Span]:
    """A span around the block, below the one that is open here.

    With `parent` (a W3C `traceparent`) it is below that one, wherever that is; one that is not well-formed is none.
    `links` are what it is done for: when none of them is recorded, neither is this. An exception that passes marks it
    as failed unless it is somebody else's fault; its text is not kept.
    """
    return _Chosen.tracer.span(name, kind, attributes, parent=parent, links=links)


def publishing(queue: Queue) -> AbstractContextManager[Span]:
    """A span around the sending of a message."""
    attributes = {
        "messaging.system": "redis",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue.value,
    }
    return span(f"publish {queue.value}", Kind.PRODUCER, attributes)


def current() -> Span:
    """The innermost span that is open here."""
    return _Chosen.tracer.current()


def traceparent() -> str | None:
    """The open span as a W3C `traceparent`, for whoever goes on with it elsewhere; None when there is none."""
    return _Chosen.tracer.traceparent()


def trace_id() -> str | None:
    """The trace that is open here, in 32 hexadecimal digits; None when there is none."""
    return _Chosen.tracer.trace_id()


def start(settings: Settings, process: str) -> None:
    """From here on spans are exported, if the settings say so; `process` names this kind of process in them.

    Raises `SettingsError` when OpenTelemetry is not installed or set up wrongly.
    """
    if not settings.traces:
        return
    try:
        from connections.otel import build_tracer  # noqa: PLC0415 - whoever wants no traces does not pay for it
    except ImportError:
        raise SettingsError("CONNECTOR_TRACES: the packages of `connector[traces]` are not installed") from None
    _Chosen.tracer = build_tracer(process)


def flush() -> None:
    """Exports what is left, within a few seconds or not at all, and nothing afterwards: for the end of a process."""
    _Chosen.tracer.flush()


@contextmanager
def using(tracer: Tracer) -> Iterator[None]:
    """Spans are the tracer's in the block."""
    before, _Chosen.tracer = _Chosen.tracer, tracer
    try:
        yield
    finally:
        _Chosen.tracer = before
        tracer.flush()


def cause_of(error: BaseException) -> str:
    """In one word what went wrong, as rows and logs call it."""
    if not isinstance(error, ConnectorError):
        return type(error).__name__
    return error.issues[0].code if error.issues else error.code.lower()


def is_fault(error: BaseException) -> bool:
    """Whether the service or an upstream has failed: not the caller, and nobody who has only to wait their turn."""
    return not isinstance(error, RequestError | Refusal | OutOfBudget)
