"""Where tests find what was traced: in memory, or at a collector that speaks OTLP over HTTP on loopback."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connections import tracing
from connections.otel import traced_by


@dataclass(frozen=True)
class Seen:
    """A span that has ended. Ids are hexadecimal, `parent` is empty for the first one of a trace."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: Mapping[str, Any]
    links: tuple[str, ...] = ()
    """Of the spans that it links to, trace and id as `trace/id`."""
    has_failed: bool = False
    service: str = ""
    events: int = 0
    flags: int = 1

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace}-{self.id}-{self.flags:02x}"

    @property
    def link(self) -> str:
        return f"{self.trace}/{self.id}"


class Spans(list[Seen]):
    """Those of a process or of all, in the order of their ends."""

    def named(self, name: str) -> "Spans":
        return Spans(span for span in self if span.name == name)

    def only(self, name: str) -> Seen:
        (span,) = self.named(name)
        return span

    def below(self, parent: Seen) -> "Spans":
        return Spans(span for span in self if (span.trace, span.parent) == (parent.trace, parent.id))

    def of_task(self, task_id: str) -> "Spans":
        return Spans(span for span in self if span.attributes.get("connector.task.id") == task_id)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self]


class InMemory:
    """What was traced in this process."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    @property
    def spans(self) -> Spans:
        return Spans(map(_of_sdk, self.exporter.get_finished_spans()))


@contextmanager
def recorded() -> Iterator[InMemory]:
    """Everything in the block is traced."""
    memory = InMemory()
    with tracing.using(traced_by("test", SimpleSpanProcessor(memory.exporter))):
        yield memory


def _of_sdk(span: ReadableSpan) -> Seen:
    assert span.context is not None
    return Seen(
        name=span.name,
        kind=span.kind.name,
        trace=f"{span.context.trace_id:032x}",
        id=f"{span.context.span_id:016x}",
        parent=f"{span.parent.span_id:016x}" if span.parent else "",
        attributes=dict(span.attributes or {}),
        links=tuple(f"{link.context.trace_id:032x}/{link.context.span_id:016x}" for link in span.links),
        has_failed=not span.status.is_ok and not span.status.is_unset,
        service=str(span.resource.attributes["service.name"]),
        events=len(span.events),
        flags=span.context.trace_flags,
    )


@dataclass
class Collector:
    """Takes what is exported by processes with its `environment`. One that `is_silent` accepts and never answers."""

    is_silent: bool = False
    bodies: list[bytes] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked.set()
                if collector.is_silent:
                    collector._closed.wait()
                    return
                collector.bodies.append(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """To nobody."""

        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a process of ours needs to export to it, soon after each span."""
        return {
            "CONNECTOR_TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    @property
    def spans(self) -> Spans:
        return Spans(span for body in list(self.bodies) for span in _of_otlp(body))

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def collecting(*, is_silent: bool = False) -> Iterator[Collector]:
    collector = Collector(is_silent)
    try:
        yield collector
    finally:
        collector.close()


def _of_otlp(body: bytes) -> Iterator[Seen]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        service = {one.key: _value(one.value) for one in resource.resource.attributes}["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    name=span.name,
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    attributes={one.key: _value(one.value) for one in span.attributes},
                    links=tuple(f"{link.trace_id.hex()}/{link.span_id.hex()}" for link in span.links),
                    has_failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                    service=str(service),
                    events=len(span.events),
                    flags=span.flags & 0xFF,
                )


def _value(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
