"""Spans, as they are recorded when there are traces, and not when there are none."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from connections import otel, tracing
from connections.errors import CredentialsRejected, OutOfBudget, ServiceUnavailable, UpstreamFailed, ValidationFailed
from connections.otel import build_tracer, traced_by
from connections.settings import Settings, SettingsError
from connections.tracing import Kind
from tests.spans import InMemory, recorded

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
ANOTHER = "00-11111111111111111111111111111111-2222222222222222-01"


@pytest.fixture
def memory() -> Iterator[InMemory]:
    with recorded() as memory:
        yield memory


def test_without_traces_every_span_is_one_and_the_same() -> None:
    tracing.start(Settings(), "test")
    with tracing.span("outer", parent=SAMPLED) as outer:
        with tracing.span("inner", Kind.CLIENT, {"one": 1}) as inner:
            assert inner is outer is tracing.current()
            inner.note({"two": 2})
        assert (tracing.traceparent(), tracing.trace_id()) == (None, None)


def test_a_span_is_below_the_one_that_is_open(memory: InMemory) -> None:
    with tracing.span("outer", Kind.SERVER, {"one": 1}) as span:
        with tracing.span("inner"):
            tracing.current().note({"two": "2"})
        span.rename("renamed")

    inner, outer = memory.spans
    assert (inner.trace, inner.parent, outer.parent) == (outer.trace, outer.id, "")
    assert (outer.name, outer.kind, outer.attributes) == ("renamed", "SERVER", {"one": 1})
    assert (inner.name, inner.kind, inner.attributes) == ("inner", "INTERNAL", {"two": "2"})


def test_whoever_goes_on_elsewhere_is_below_what_it_was_handed(memory: InMemory) -> None:
    with tracing.span("request", parent=SAMPLED):
        handed = tracing.traceparent()
    with tracing.span("attempt", parent=handed):
        assert tracing.trace_id() == TRACE

    request, attempt = memory.spans
    assert (request.trace, request.parent) == (TRACE, SPAN)
    assert (attempt.trace, attempt.parent) == (TRACE, request.id)
    assert handed == request.traceparent


MALFORMED = {
    "empty": "",
    "no version": f"{TRACE}-{SPAN}-01",
    "a version that cannot be": f"ff-{TRACE}-{SPAN}-01",
    "a trace of zeros": f"00-{'0' * 32}-{SPAN}-01",
    "a span of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "upper case": SAMPLED.upper(),
    "too long": f"{SAMPLED}-more",
    "too short": SAMPLED[:-1],
    "no hexadecimal digits": f"00-{'g' * 32}-{SPAN}-01",
    "wide digits": "\uff10\uff10" + SAMPLED[2:],
    "a newline": SAMPLED[:-2] + "0\n",
}


@pytest.mark.parametrize("parent", MALFORMED.values(), ids=MALFORMED)
def test_a_parent_that_is_not_well_formed_is_none(memory: InMemory, parent: str) -> None:
    with tracing.span("request", parent=parent):
        pass

    (request,) = memory.spans
    assert (request.parent, request.trace == TRACE) == ("", False)


def test_what_the_caller_does_not_record_is_not_recorded_here_and_stays_one_trace(memory: InMemory) -> None:
    with tracing.span("request", parent=NOT_SAMPLED):
        handed = tracing.traceparent()
        with tracing.span("inner"):
            pass
    with tracing.span("attempt", parent=handed):
        assert tracing.trace_id() == TRACE

    assert handed is not None
    assert (handed[:36], handed[-3:]) == (f"00-{TRACE}-", "-00")
    assert memory.spans == []


def test_a_span_that_links_is_a_trace_of_its_own(memory: InMemory) -> None:
    with tracing.span("rows", links=[SAMPLED, ANOTHER, SAMPLED]):
        pass

    (rows,) = memory.spans
    assert (rows.parent, rows.links) == ("", (f"{TRACE}/{SPAN}", "/".join(ANOTHER.split("-")[1:3])))
    assert rows.trace != TRACE


@pytest.mark.parametrize(("links", "spans"), [([NOT_SAMPLED], 0), ([NOT_SAMPLED, ANOTHER], 1)])
def test_what_is_done_for_nobody_who_records_is_not_recorded(memory: InMemory, links: list[str], spans: int) -> None:
    with tracing.span("rows", links=links):
        pass

    assert len(memory.spans) == spans


FAULTS = {
    "a bug": (RuntimeError("abcd-efgh-2345-wxyz"), "RuntimeError"),
    "a database that is away": (ServiceUnavailable("abcd-efgh-2345-wxyz"), "service_unavailable"),
    "an upstream that fails": (UpstreamFailed("abcd-efgh-2345-wxyz"), "upstream_error"),
    "an interrupt": (KeyboardInterrupt("abcd-efgh-2345-wxyz"), "KeyboardInterrupt"),
}


@pytest.mark.parametrize(("error", "cause"), FAULTS.values(), ids=FAULTS)
def test_a_fault_marks_the_span_and_its_text_is_not_kept(memory: InMemory, error: BaseException, cause: str) -> None:
    with pytest.raises(type(error)), tracing.span("attempt"):
        raise error

    (attempt,) = memory.spans
    assert (attempt.has_failed, attempt.attributes, attempt.events) == (True, {"error.type": cause}, 0)
    assert "abcd" not in memory.exporter.get_finished_spans()[0].to_json()


@pytest.mark.parametrize("error", [ValidationFailed(), CredentialsRejected(), OutOfBudget(host="h", retry_after=1)])
def test_what_is_not_our_fault_is_no_failure(memory: InMemory, error: Exception) -> None:
    with pytest.raises(type(error)), tracing.span("attempt"):
        raise error

    (attempt,) = memory.spans
    assert (attempt.has_failed, attempt.attributes) == (False, {})


@pytest.mark.parametrize(("variable", "service"), [("", "connector-api"), ("ours", "ours")])
def test_the_environment_may_name_the_service(monkeypatch: pytest.MonkeyPatch, variable: str, service: str) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", variable)
    found: list[str] = []

    class Names(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            found.append(str(span.resource.attributes["service.name"]))

    with tracing.using(traced_by("api", Names())), tracing.span("request"):
        pass

    assert found == [service]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loggers, as if nobody had made a tracer; afterwards as they were."""
    logger = logging.getLogger("opentelemetry")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logging.getLogger("opentelemetry.util.re"), "disabled", False)


WRONG = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("grpc", "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf"),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": ("grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: only http/protobuf"),
    "OTEL_EXPORTER_OTLP_HEADERS": ("a=b,authorization: canary", "OTEL_EXPORTER_OTLP_HEADERS: must be name=value"),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("0", "OTEL_…: max_queue_size must be a positive integer"),
}


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("name", "value", "line"), [(name, *wrong) for name, wrong in WRONG.items()], ids=WRONG)
def test_a_variable_that_cannot_be_followed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{line}[^\n]*$"):
        build_tracer("api")
    assert caplog.text == ""


def test_a_tracer_that_is_disabled_by_the_standard_variable_makes_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    with recorded() as memory, tracing.span("request", parent=SAMPLED) as request, tracing.span("inner"):
        request.note({"one": 1})
        request.fail("bug")

    assert memory.spans == []


@pytest.mark.usefixtures("library")
def test_a_collector_that_is_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    build_tracer("api").flush()
    for name in ("opentelemetry.exporter", "opentelemetry.sdk", "opentelemetry.exporter"):
        logging.getLogger(name).warning("Transient error")

    assert [record.name for record in caplog.records] == ["opentelemetry.exporter"]


def test_traces_without_their_packages_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "connections.otel", None)

    with pytest.raises(SettingsError, match=r"^CONNECTOR_TRACES: .*connector\[traces\]"):
        tracing.start(Settings(traces=True), "api")


def test_a_collector_that_takes_for_ever_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            released.wait()

    released = threading.Event()
    monkeypatch.setattr(otel, "FLUSH_SECONDS", 0.01)
    with tracing.using(traced_by("api", Stuck())), tracing.span("request"):
        pass
    released.set()
