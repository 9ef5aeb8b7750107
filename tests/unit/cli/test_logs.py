"""One form for every line, ours and others'; nothing secret in any of them."""

import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest
import structlog

from connections import tracing
from connections.logs import ProcessName, configure_logging, wants_colours
from connections.settings import Environment, LogFormat, Settings
from tests.spans import recorded

PASSWORD = "abcd-efgh-2345-wxyz"

DEVELOPMENT = Settings()
PRODUCTION = Settings.model_construct(env=Environment.PRODUCTION, log_level="INFO")


@pytest.fixture(autouse=True)
def _restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configured(settings: Settings, process: ProcessName = "worker") -> structlog.stdlib.BoundLogger:
    configure_logging(settings, process)
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("worker.perform")
    return logger


def fail_with_a_local_secret() -> None:
    variable = "only in memory".replace(" ", "-")  # its line is in the traceback, its value must not be
    raise ValueError(f"the server said {PASSWORD}", len(variable))


def test_a_line_has_the_number_of_the_trace_it_is_written_in(capsys: pytest.CaptureFixture[str]) -> None:
    log = configured(PRODUCTION.model_copy(update={"traces": True}))
    with recorded() as memory:
        log.info("outside")
        with tracing.span("attempt"):
            log.info("inside")
            logging.getLogger("celery").warning("inside, too")

    outside, ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert "trace_id" not in outside
    assert ours["trace_id"] == theirs["trace_id"] == memory.spans.only("attempt").trace


@pytest.mark.parametrize("settings", [PRODUCTION, Settings(log_format=LogFormat.JSON)])
def test_lines_are_json_in_production_and_wherever_it_is_asked_for(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(settings).info("connected", host="bsky.social")
    assert json.loads(capsys.readouterr().out)["host"] == "bsky.social"


@pytest.mark.parametrize("settings", [DEVELOPMENT, PRODUCTION.model_copy(update={"log_format": LogFormat.TEXT})])
def test_lines_are_for_people_elsewhere_and_wherever_it_is_asked_for(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(settings).info("connected", host="bsky.social")
    assert "host=bsky.social" in capsys.readouterr().out


def test_production_writes_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = configured(PRODUCTION)
    structlog.contextvars.bind_contextvars(request_id="req_1", task_id="ct_1")

    log.info("account_connected", attempt=1)
    logging.getLogger("celery").warning("broker %s lost", "here")

    ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "event": "account_connected",
        "attempt": 1,
        "request_id": "req_1",
        "task_id": "ct_1",
        "level": "info",
        "logger": "worker.perform",
        "process": "worker",
    }
    assert (theirs["event"], theirs["logger"], theirs["request_id"]) == ("broker here lost", "celery", "req_1")


@pytest.mark.parametrize("settings", [DEVELOPMENT, PRODUCTION], ids=["development", "production"])
def test_exceptions_carry_neither_variables_nor_secrets(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    log = configured(settings)
    try:
        fail_with_a_local_secret()
    except ValueError:
        log.exception("connect_crashed", password="hunter2")
        logging.getLogger("celery").exception("crashed with %s", PASSWORD)

    written = capsys.readouterr().out
    assert written.count("the server said [redacted]") == 2
    assert "in fail_with_a_local_secret" in written
    for secret in (PASSWORD, "only-in-memory", "hunter2"):
        assert secret not in written


def test_uncaught_exceptions_are_logged_like_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    configured(PRODUCTION)
    error = ValueError(PASSWORD)

    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, threading.current_thread())))
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["exception"]) for line in lines] == [
        ("uncaught_exception", "ValueError: [redacted]"),
        ("uncaught_exception", "ValueError: [redacted]"),
    ]
    assert lines[1]["thread"] == threading.current_thread().name


def test_libraries_only_speak_up_to_warn(capsys: pytest.CaptureFixture[str]) -> None:
    log = configured(DEVELOPMENT)

    logging.getLogger("httpx").info("HTTP Request: POST …")
    logging.getLogger("httpx").warning("careful")
    log.info("ours")
    log.debug("not now")

    written = capsys.readouterr().out
    assert "HTTP Request" not in written
    assert "not now" not in written
    assert "careful" in written
    assert "ours" in written


def test_people_are_spared_what_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configured(DEVELOPMENT).info("connect_failed", provider=None, issues=[], will_retry=False, attempt=0)

    written = capsys.readouterr().out
    assert "provider" not in written
    assert "issues" not in written
    assert "will_retry=False" in written
    assert "attempt=0" in written


def test_a_command_keeps_stdout_for_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    configured(DEVELOPMENT, "cli").warning("noticed")

    out, err = capsys.readouterr()
    assert out == ""
    assert "noticed" in err


def test_colours_only_where_someone_looks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    configured(DEVELOPMENT).info("plain")
    assert "\x1b" not in capsys.readouterr().out

    monkeypatch.setenv("FORCE_COLOR", "1")
    configured(DEVELOPMENT).info("coloured")
    assert "\x1b" in capsys.readouterr().out

    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colours(sys.stdout)
