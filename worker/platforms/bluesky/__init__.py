"""Bluesky, and every other host of the AT Protocol."""

from connections.settings import Settings
from worker.pace import Pace
from worker.platforms.base import Platform


def build(settings: Settings, pace: Pace) -> Platform:
    """The platform, ready for many threads. Imports the SDK."""
    from worker.platforms.bluesky.adapter import Bluesky  # noqa: PLC0415 - only a worker pays for the SDK

    return Bluesky(settings, pace)
