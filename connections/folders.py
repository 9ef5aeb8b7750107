"""Folders for keys and data."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Creates the folder, and those above it that are missing, for their owner only; leaves existing ones alone."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
