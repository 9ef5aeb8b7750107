"""What becomes of messages that were taken, when Redis is lost."""

import pytest
import structlog

from worker.transport import LosableQoS


class LostChannel:
    """Its connection is gone: nothing can be given back."""

    do_restore = True

    def _restore(self, message: object) -> None:
        raise ConnectionError("the connection is lost")


def test_what_cannot_be_given_back_is_told_and_forgotten(capfd: pytest.CaptureFixture[str]) -> None:
    qos = LosableQoS(LostChannel(), prefetch_count=2)
    qos.append("a message", "tag-1")
    qos.append("another", "tag-2")

    with structlog.testing.capture_logs() as lines:
        qos.restore_unacked_once()

    assert lines == [
        {"event": "messages_not_given_back", "log_level": "warning", "messages": 2, "cause": "ConnectionError"}
    ]
    assert "EMERGENCY DUMP" not in capfd.readouterr().err  # kombu would write them to a file
