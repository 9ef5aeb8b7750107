"""Traces by OpenTelemetry's SDK, exported over OTLP. The only module that imports it, and only when traces are wanted.

The standard variables apply: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME` and the like.
The provider is not made the process's own: libraries that look for one would tell of URLs, statements and exceptions,
which hold secrets.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from connections.settings import SettingsError
from connections.tracing import Attributes, Kind, Span, cause_of, is_fault

# A collector that is away must not hold up the end of a process, whose grace period may be used up already.
FLUSH_SECONDS = 3.0

# A collector that is away is told of with every export, several times.
_A_LINE_EVERY_SECONDS = 60.0

_PROTOCOL = "http/protobuf"
_PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")  # the first one counts
_HEADER_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")

_KINDS = {kind: trace.SpanKind[kind.name] for kind in Kind}
_TRACE_CONTEXT = TraceContextTextMapPropagator()


class OtelSpan:
    """Implements `connections.tracing.Span`."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, cause: str) -> None:
        self._span.set_attribute("error.type", cause)
        self._span.set_status(trace.StatusCode.ERROR)


class OtelTracer:
    """Implements `connections.tracing.Tracer`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("connector")

    def span(
        self, name: str, kind: Kind, attributes: Attributes, *, parent: str | None, links: Sequence[str]
    ) -> AbstractContextManager[Span]:
        context = _context_of(parent) if parent else None
        linked = [_span_of(link) for link in dict.fromkeys(links)]
        if linked and not any(span.get_span_context().trace_flags.sampled for span in linked):
            context, linked = trace.set_span_in_context(linked[0], Context()), []
        span = self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            attributes,
            [trace.Link(span.get_span_context()) for span in linked],
            record_exception=False,
            set_status_on_exception=False,
        )
        return _open(span)

    def current(self) -> Span:
        return OtelSpan(trace.get_current_span())

    def traceparent(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def trace_id(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def flush(self) -> None:
        # The exporter has deadlines of its own, some of them per try: what is waited for here is one for all of them.
        ending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)


@contextmanager
def _open(span: trace.Span) -> Iterator[Span]:
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        own = OtelSpan(span)
        try:
            yield own
        except BaseException as error:
            if is_fault(error):
                own.fail(cause_of(error))
            raise


def _context_of(traceparent: str) -> Context:
    """Without a span in it when the text is not well-formed (W3C Trace Context, 3.2)."""
    return _TRACE_CONTEXT.extract({"traceparent": traceparent}, Context())


def _span_of(traceparent: str) -> trace.Span:
    return trace.get_current_span(_context_of(traceparent))


def build_tracer(process: str) -> OtelTracer:
    """A tracer that exports. Raises `SettingsError` for variables that cannot be followed."""
    library = logging.getLogger("opentelemetry")
    library.handlers, library.propagate = [_Seldom()], False
    _check_variables()
    try:
        return traced_by(process, BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise SettingsError(f"OTEL_…: {error}") from None


def _check_variables() -> None:
    """What the library would not notice, or would print."""
    variable = next((name for name in _PROTOCOL_VARIABLES if os.environ.get(name)), None)
    if variable is not None and os.environ[variable] != _PROTOCOL:
        raise SettingsError(f"{variable}: only {_PROTOCOL} is spoken")
    logging.getLogger(parse_env_headers.__module__).disabled = True  # quotes headers, which are credentials
    for name in _HEADER_VARIABLES:
        sent = filter(str.strip, os.environ.get(name, "").split(","))
        if not all(parse_env_headers(header, liberal=True) for header in sent):
            raise SettingsError(f"{name}: must be name=value, comma-separated")


class _Seldom(logging.Handler):
    """Passes a line on, and then none for a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _A_LINE_EVERY_SECONDS
            logging.getLogger().handle(record)


def traced_by(process: str, processor: SpanProcessor) -> OtelTracer:
    """A tracer whose spans go to `processor`."""
    # What the environment says of the service goes before what we say.
    resource = Resource.create({"service.name": f"connector-{process}"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return OtelTracer(provider)
