"""The hosts that the operator has named, not some stranger."""

from connections.settings import Settings
from connections.urls import host_of


def host_classes(settings: Settings) -> dict[str, str]:
    """Each of them, and what it is for: `hosted` accounts, or `directory`."""
    named = {
        settings.bluesky_url: "hosted",
        settings.dev_pds_url: "hosted",
        settings.plc_url: "directory",
        settings.dev_plc_url: "directory",
    }
    return {host_of(url): host_class for url, host_class in named.items() if url}
