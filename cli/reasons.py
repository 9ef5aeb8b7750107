"""Why a library has failed: one line that a person can act on, and no secret in it."""

from collections.abc import Callable, Mapping

import dns.resolver
import redis
from sqlalchemy.exc import SQLAlchemyError

from connections.errors import QueueUnavailable, ServiceUnavailable
from connections.settings import SettingsError
from worker.egress.errors import EgressError


def reason(error: Exception) -> str:
    """For one of `FAILURES`."""
    return next(tell for kind, tell in FAILURES.items() if isinstance(error, kind))(error)


def _by_text(reasons: Mapping[str, str], text: str, default: str) -> str:
    """Drivers name hosts and users, in many lines; what it is about is enough."""
    return next((said for part, said in reasons.items() if part in text), default)


_NETWORK_REASONS = {
    "Connection refused": "nothing listens there",
    "No such file or directory": "nothing listens there",
    "resolve host": "its name is not known",
    "Name or service not known": "its name is not known",
    "name resolution": "its name is not known",
    "No address associated": "its name is not known",
    "certificate": "its certificate is not accepted",
    "SSL": "it does not speak TLS as expected",
}

_DATABASE_REASONS = {
    "password authentication failed": "it refuses the password",
    "no pg_hba.conf entry": "it takes no connection from this machine",
    "too many clients": "it has no connection left: raise max_connections",
    "remaining connection slots": "it has no connection left: raise max_connections",
    "starting up": "it is starting up",
    "shutting down": "it is shutting down",
    "does not exist": "there is no such database or user",
    **_NETWORK_REASONS,
    "unable to open database file": "the file cannot be opened",
    "malformed": "the file is damaged",
    "not a database": "the file is no database",
}


_REDIS_REASONS = {"max number of clients": "it has no connection left: raise maxclients", **_NETWORK_REASONS}

_BROKER_REASONS = {
    "ACCESS_REFUSED": "it refuses the user or the password",
    "NOT_ALLOWED": "it has no such virtual host, or not for this user",
    **_NETWORK_REASONS,
}


def _fixed(text: str) -> Callable[[Exception], str]:
    return lambda _error: text


# In this order, because the first that fits decides: what is special comes before what is general.
FAILURES: Mapping[type[Exception], Callable[[Exception], str]] = {
    SettingsError: str,
    ServiceUnavailable: lambda error: _by_text(_DATABASE_REASONS, str(error.__cause__), "it does not answer"),
    QueueUnavailable: lambda error: (
        reason(error.__cause__)
        if isinstance(error.__cause__, redis.RedisError)
        else _by_text(_BROKER_REASONS, str(error.__cause__), "it does not answer")
    ),
    SQLAlchemyError: _fixed("it does not answer as expected"),
    redis.AuthenticationError: _fixed("it refuses the password"),
    redis.BusyLoadingError: _fixed("it is starting up"),
    redis.TimeoutError: _fixed("it does not answer in time"),
    redis.ConnectionError: lambda error: _by_text(_REDIS_REASONS, str(error), "the connection to it fails"),
    redis.ResponseError: _fixed("it refuses the command"),
    redis.RedisError: _fixed("it does not answer as expected"),
    EgressError: str,
    dns.resolver.NoResolverConfiguration: _fixed("this machine has no nameserver configured"),
    OSError: lambda error: str(error.strerror if isinstance(error, OSError) else error),
}
