"""Kombu's Redis transport with one client of Redis for each channel.

Kombu 5.7.0 builds one for every message, which costs as much as the call.
"""

from typing import Any

from kombu.transport.redis import Channel, Transport


class KeptClientChannel(Channel):
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()
        return self._kept


class KeptClientTransport(Transport):
    Channel = KeptClientChannel
