"""What travels between API and workers by Redis or the broker: names and ids, never a payload and never a secret.

Whoever can write there can start a task; so a message only says which row to look at, and the row decides.
"""

from enum import StrEnum


class Queue(StrEnum):
    """`CONNECT` has a caller waiting, `BULK` has not, `CONTROL` is housekeeping; `UPKEEP` is about accounts that are
    connected. That is apart, so that workers of a version that knows no such work are not asked to do it."""

    CONNECT = "connect"
    BULK = "connect.bulk"
    CONTROL = "connect.control"
    UPKEEP = "connect.upkeep"


CONNECT_ACCOUNT = "connector.connect_account"
CONNECT_ACCOUNTS = "connector.connect_accounts"
DISPATCH = "connector.dispatch"
SWEEP = "connector.sweep"
PRUNE = "connector.prune"

REFRESH_SESSIONS = "connector.refresh_sessions"
END_SESSIONS = "connector.end_sessions"
OPEN_SESSION = "connector.open_session"
DELIVER_EVENTS = "connector.deliver_events"

# The header of a message with the Unix time at which it was sent, in seconds.
SENT_AT = "sent_at"

WORKER_ALIVE_KEY = "connector:worker-alive"

# When the message was sent that a worker has begun last, in the same figures. Kept on RabbitMQ only, see ADR 25.
LAST_BEGUN_KEY = "connector:last-begun"


def reply_channel(shim_id: str) -> str:
    """The pub/sub channel on which one API process hears that a task it waits for is settled.

    A message on it is the bare task id.
    """
    return f"connector:settled:{shim_id}"
