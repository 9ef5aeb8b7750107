"""Lets the API know that at least one worker lives."""

import threading

import redis
import structlog

from connections.messages import WORKER_ALIVE_KEY

log = structlog.get_logger()

_EVERY_SECONDS = 3.0
_ALIVE_FOR_SECONDS = 10


class Heartbeat:
    """A thread that renews a key in Redis until it is stopped."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stops renewing; the key ends by itself, because another worker may live."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._beat()):
            pass

    def _beat(self) -> float:
        try:
            self._redis.set(WORKER_ALIVE_KEY, "1", ex=_ALIVE_FOR_SECONDS)
        except redis.RedisError as error:
            log.debug("heartbeat_missed", cause=type(error).__name__)
        return _EVERY_SECONDS
