"""One picture after the other, until somebody has seen enough."""

import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from cli.reasons import reason
from connections.errors import ServiceUnavailable

REFRESH_SECONDS = 1.0


def watch(draw: Callable[[], RenderableType], console: Console) -> None:
    """Shows what `draw` gives, every second, until Ctrl-C. A database that is away is waited for."""
    try:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                live.update(_picture(draw), refresh=True)
                time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        return


def _picture(draw: Callable[[], RenderableType]) -> RenderableType:
    try:
        return draw()
    except ServiceUnavailable as error:
        return Text(f"The database: {reason(error)}. Looking again every second; Ctrl-C ends.", style="red")
