"""Logging, the same for our own lines and those of uvicorn, Celery and SQLAlchemy.

Production writes one JSON object a line, development lines for people, unless the settings say otherwise. Times are
UTC. Every line carries what is bound to its context (`request_id`, `task_id`), no line carries local variables, and
`redaction` sees each one last.

Our own lines do not go through the standard library's loggers, which would take as long again as all the rest of it.
"""

import inspect
import logging
import os
import sys
import threading
from contextlib import nullcontext, suppress
from types import FrameType, TracebackType
from typing import Any, ClassVar, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from connections import tracing
from connections.redaction import redact
from connections.settings import Settings

_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}

ProcessName = Literal["api", "worker", "beat", "cli"]

log = structlog.get_logger()


class _Out:
    """Where our lines go, and which of them: the same for all loggers, whenever they were made."""

    handler: logging.StreamHandler[TextIO] = logging.StreamHandler()
    level = logging.INFO
    processors: ClassVar[list[Processor]] = []


class _Logger:
    """What structlog hands finished lines to."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or _calling_module()

    def _write(self, line: str) -> None:
        handler = _Out.handler
        # A stream that takes nothing any more must not end what the line is about. (UnicodeError is a ValueError.)
        with handler.lock or nullcontext(), suppress(OSError, ValueError):
            handler.stream.write(line + handler.terminator)
            handler.flush()

    debug = info = warning = error = critical = _write


def _calling_module() -> str:
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and _is_of_logging(frame.f_globals["__name__"]):
        frame = frame.f_back
    return str(frame.f_globals["__name__"]) if frame is not None else "?"


def _is_of_logging(module: str) -> bool:
    return module == __name__ or module.partition(".")[0] == "structlog"


def configure_logging(settings: Settings, process: ProcessName) -> None:
    """Sets up logging for this process; a second call replaces the first.

    Services write to stdout. A command's stdout is its answer, so it logs to stderr.
    """
    stream = sys.stderr if process == "cli" else sys.stdout
    prepare: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        *([_add_trace] if settings.traces else []),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    finish = _for_machines(process) if settings.logs_json else _for_people(stream)
    _Out.handler = handler = logging.StreamHandler(stream)
    _Out.level = logging.getLevelNamesMapping()[settings.log_level]
    _Out.processors[:] = [_drop_below_level, *prepare, *finish]
    structlog.configure(
        processors=_Out.processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=_Logger,
        cache_logger_on_first_use=True,
    )
    without_record = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=prepare, processors=[without_record, *finish])
    )
    logging.basicConfig(handlers=[handler], level=_foreign_level(settings.log_level), force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The trace that is open where the line is written, so that both are found by one number."""
    if (trace_id := tracing.trace_id()) is not None:
        event["trace_id"] = trace_id
    return event


def _drop_below_level(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _LEVELS[method] < _Out.level:
        raise structlog.DropEvent
    return event


def _for_machines(process: ProcessName) -> list[Processor]:
    def add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, "process": process}

    return [
        add_process,
        *_last_steps(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(),
    ]


def _for_people(stream: TextIO) -> list[Processor]:
    return [
        *_last_steps(),
        structlog.processors.TimeStamper(fmt="%H:%M:%SZ", utc=True),
        _drop_what_says_nothing,
        structlog.dev.ConsoleRenderer(
            colors=wants_colours(stream), pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def _last_steps() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,  # the plain traceback: structlog's richer ones print local variables
        _redact,
    ]


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    cleaned: dict[str, Any] = redact(event)
    return cleaned


def _drop_what_says_nothing(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A machine counts on every key; a person does not need to be told `provider=None`."""
    return {name: value for name, value in event.items() if value is not None and value != []}


def wants_colours(stream: TextIO) -> bool:
    """Whether someone looks at this stream: a terminal, or a supervisor that passes lines on to one.

    See https://no-color.org and https://force-color.org.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))


def _foreign_level(level: str) -> int:
    """Libraries tell a line or more for every request and task; only what they warn of is worth reading."""
    return logging.INFO if level == "DEBUG" else max(logging.WARNING, logging.getLevelNamesMapping()[level])


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("uncaught_exception", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        log.critical(
            "uncaught_exception",
            thread=args.thread.name if args.thread else None,
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
