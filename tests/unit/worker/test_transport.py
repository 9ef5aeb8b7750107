"""What the broker's transport does when Redis does not take what it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu.transport import virtual

from worker.transport import LosableQoS


class HangingChannel:
    """Redis hangs for every command."""

    unacked_key = "unacked"
    unacked_index_key = "unacked_index"

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        raise redis.TimeoutError("timed out")
        yield


def test_a_message_that_cannot_be_acknowledged_takes_no_slot() -> None:
    qos = LosableQoS(HangingChannel(), prefetch_count=1)
    virtual.QoS.append(qos, object(), "tag")
    assert not qos.can_consume()

    qos.ack("tag")

    assert qos.can_consume()
    qos._on_collect.cancel()
