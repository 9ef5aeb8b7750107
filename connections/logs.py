"""Logging, the same for our own lines and those of uvicorn, Celery and SQLAlchemy.

Production writes one JSON object a line, development lines for people. Times are UTC. Every line carries what is bound
to its context (`request_id`, `task_id`), no line carries local variables, and `redaction` sees each one last.
"""

import logging
import os
import sys
import threading
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from connections.redaction import redact
from connections.settings import Settings

ProcessName = Literal["api", "worker", "beat", "cli"]

_OURS = ("api_shim", "cli", "connections", "worker")

log = structlog.get_logger()


def configure_logging(settings: Settings, process: ProcessName) -> None:
    """Sets up logging for this process; a second call replaces the first.

    Services write to stdout. A command's stdout is its answer, so it logs to stderr.
    """
    stream = sys.stderr if process == "cli" else sys.stdout
    prepare: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *prepare,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    finish = _for_machines(process) if settings.is_production else _for_people(stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=prepare, processors=finish))
    logging.basicConfig(handlers=[handler], level=_foreign_level(settings.log_level), force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(settings.log_level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


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
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
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
