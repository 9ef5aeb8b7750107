"""One check after the other, whatever becomes of them."""

import threading
from collections.abc import Callable

import dns.resolver
import pytest
import redis
from sqlalchemy.exc import OperationalError, ProgrammingError

from cli.doctor.checks import CHECKS, Check
from cli.doctor.examining import examine
from cli.doctor.findings import Finding, Verdict, ok
from cli.doctor.subject import Subject
from connections.errors import ServiceUnavailable
from connections.settings import Settings, SettingsError
from worker.egress.errors import ConnectFailed


def check(name: str, look: Callable[[Subject], Finding | None], *needs: str) -> Check:
    return Check(name, look, f"look after {name}", needs)


def raising(error: Exception) -> Callable[[Subject], Finding | None]:
    def look(_subject: Subject) -> Finding | None:
        raise error

    return look


def database_away(text: str) -> ServiceUnavailable:
    error = ServiceUnavailable()
    error.__cause__ = OperationalError("", {}, Exception(text), hide_parameters=True)
    return error


@pytest.fixture
def subject(settings: Settings) -> Subject:
    return Subject(settings)


def examined(subject: Subject, *checks: Check, seconds: float = 10.0) -> dict[str, Finding]:
    return dict(examine(subject, checks, seconds=seconds))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (database_away('FATAL: password authentication failed for user "bob"'), "it refuses the password"),
        (database_away("connection failed: Connection refused"), "nothing listens there"),
        (database_away("what nobody has seen, for postgresql://bob:s3cret@db"), "it does not answer"),
        (ServiceUnavailable(), "it does not answer"),
        (ProgrammingError("SELECT 's3cret'", {}, Exception("s3cret")), "it does not answer as expected"),
        (redis.AuthenticationError("WRONGPASS s3cret"), "it refuses the password"),
        (redis.TimeoutError("s3cret"), "it does not answer in time"),
        (redis.ConnectionError("Error 111 connecting to s3cret:1. Connection refused."), "nothing listens there"),
        (redis.ConnectionError("Error -2 connecting to s3cret:1. Name or service not known."), "its name is not known"),
        (redis.ConnectionError("[SSL] certificate verify failed"), "its certificate is not accepted"),
        (redis.ConnectionError("s3cret"), "the connection to it fails"),
        (redis.ResponseError("unknown command s3cret"), "it refuses the command"),
        (redis.RedisError("s3cret"), "it does not answer as expected"),
        (SettingsError("CONNECTOR_KEYS_FILE: /keys is damaged"), "CONNECTOR_KEYS_FILE: /keys is damaged"),
        (ConnectFailed("no address of plc.directory accepts a connection"),) * 2,
        (dns.resolver.NoResolverConfiguration(), "this machine has no nameserver configured"),  # type: ignore[no-untyped-call]
        (PermissionError(13, "Permission denied", "/s3cret"), "Permission denied"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_libraries_raise_is_a_line(subject: Subject, error: Exception, found: object) -> None:
    findings = examined(subject, check("it", raising(error)), check("next", lambda _subject: ok("fine")))

    assert findings["it"] == Finding(Verdict.FAIL, str(found), "look after it")
    assert findings["next"] == ok("fine")


def test_a_check_that_hangs_is_left_alone(subject: Subject) -> None:
    release = threading.Event()

    def hang(_subject: Subject) -> Finding:
        release.wait(60)
        return ok("at last")

    findings = examined(subject, check("it", hang), check("next", lambda _subject: ok("fine")), seconds=0.05)
    release.set()

    assert findings["it"] == Finding(Verdict.FAIL, "no answer within 0.05 s", "look after it")
    assert findings["next"].verdict is Verdict.OK


def test_a_bug_in_a_check_stops_no_other(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(str(args.exc_value)))

    findings = examined(
        subject, check("it", raising(ZeroDivisionError("a bug"))), check("next", lambda _subject: ok("fine"))
    )

    assert told == ["a bug"]
    assert findings["it"].verdict is Verdict.FAIL
    assert findings["next"].verdict is Verdict.OK


def test_what_a_failure_makes_impossible_is_skipped(subject: Subject) -> None:
    findings = examined(
        subject,
        check("database", raising(ServiceUnavailable())),
        check("tables", raising(AssertionError("not to be looked at")), "database"),
        check("rows", raising(AssertionError("not to be looked at")), "tables"),
        check("disk", lambda _subject: ok("fine")),
    )

    assert [finding.verdict for finding in findings.values()] == ["fail", "skipped", "skipped", "ok"]
    assert findings["tables"].found == "not checked: see database"
    assert findings["rows"].found == "not checked: see tables"


def test_what_does_not_apply_is_not_shown(subject: Subject) -> None:
    assert examined(subject, check("dev PDS", lambda _subject: None)) == {}


def test_a_check_needs_only_what_comes_before_it() -> None:
    names = [each.name for each in CHECKS]
    assert len({*names}) == len(names)
    for at, each in enumerate(CHECKS):
        assert {*each.needs} <= {*names[:at]}
        assert each.advice
