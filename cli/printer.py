"""One terminal for the output of several processes: every line says whose it is."""

import os
import sys
from itertools import cycle
from typing import TextIO

from connections.logs import wants_colours

OWN_NAME = "connector"

_PALETTE = ("36", "33", "35", "32", "34")  # cyan, yellow, magenta, green, blue
_GREY = "90"


class Printer:
    """Writes whole lines, `name │ line`, coloured where someone looks."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.has_colours = wants_colours(self._stream)
        # A terminal shows `^C` where it was typed, in front of our next line.
        self._clear = "\r\x1b[K" if self._stream.isatty() else ""
        self._palette = cycle(_PALETTE)
        self._colours = {OWN_NAME: _GREY}

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<9} │"
        if self.has_colours:
            colour = self._colours.setdefault(name, next(self._palette))
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.plain(f"{prefix} {text}")

    def plain(self, text: str) -> None:
        """Writes text as it is, so that it can be copied."""
        try:
            self._stream.write(f"{self._clear}{text}\n")
            self._stream.flush()
        except OSError:
            # The terminal or the pipe is gone. What runs must still be stopped in order, unseen.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
