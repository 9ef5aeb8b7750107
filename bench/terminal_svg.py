"""Screens of a terminal as one SVG: the last, then all of them once; who wants no motion sees only the last.

No fonts from elsewhere: each piece of text is told how wide it is, so any monospaced font of the reader's fits.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.style import Style

_CHARACTER, _LINE = 8.0, 19.0  # pixels
_MARGIN, _TITLE = 16.0, 34.0
_SCREENS = 12
_SECONDS_A_SCREEN = 0.5
_POSTER_SECONDS = 2.0  # of the last screen first: what shows no motion shows the beginning

_TEXT = "#e6edf3"
# By number, of the 16 and the 256: those that rich draws texts and bars with here. Any other is shown as plain text.
_COLORS = {
    1: "#ff7b72",
    2: "#56d364",
    3: "#e3b341",
    4: "#79c0ff",
    5: "#d2a8ff",
    6: "#76e3ea",
    70: "#56d364",
    197: "#f778ba",
    237: "#3d444d",
}


def draw(screens: Sequence[str], path: Path, *, title: str, columns: int) -> None:
    """`screens` are as `tmux capture-pane -e` has them, the last one is the longest shown."""
    chosen = _some(screens)
    lines = max(screen.count("\n") + 1 for screen in chosen)
    width, height = 2 * _MARGIN + columns * _CHARACTER, _TITLE + lines * _LINE + _MARGIN
    path.write_text(
        "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
                f'width="{width:g}" height="{height:g}" role="img" aria-label="{escape(title)}">',
                f"<style>{_style(len(chosen))}</style>",
                f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>',
                *(f'<circle cx="{20 + 18 * place}" cy="18" r="5"/>' for place in range(3)),
                *(line for number, screen in enumerate(chosen) for line in _screen(number, screen)),
                "</svg>\n",
            ]
        ),
        encoding="utf-8",
    )


def _some(screens: Sequence[str]) -> list[str]:
    """The first, the last, and a few evenly from between."""
    last = len(screens) - 1
    count = min(_SCREENS, len(screens))
    return [screens[round(place * last / max(1, count - 1))] for place in range(count)]


def _style(count: int) -> str:
    total = _POSTER_SECONDS + count * _SECONDS_A_SCREEN
    rules = [
        "rect{fill:#0d1117;stroke:#3d444d}circle{fill:#3d444d}",
        "text{font:13px ui-monospace,SFMono-Regular,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"fill:{_TEXT};white-space:pre}}",
        ".bold{font-weight:700}",
        *(f".c{number}{{fill:{color}}}" for number, color in _COLORS.items()),
        ".screen{visibility:hidden}.screen:last-of-type{visibility:visible}",
        f"@media (prefers-reduced-motion:no-preference){{.screen{{animation:{total:g}s step-end both}}",
    ]
    for number in range(count):
        begins = _POSTER_SECONDS + number * _SECONDS_A_SCREEN
        is_last = number == count - 1
        frames = [
            (0.0, is_last),
            (_POSTER_SECONDS, False),
            (begins, True),
            (begins + _SECONDS_A_SCREEN, is_last),
        ]
        shown = "".join(
            f"{100 * second / total:.4g}%{{visibility:{'visible' if is_shown else 'hidden'}}}"
            for second, is_shown in frames
        )
        rules.append(f"@keyframes s{number}{{{shown}}}#s{number}{{animation-name:s{number}}}")
    return "".join([*rules, "}"])


def _screen(number: int, screen: str) -> Iterator[str]:
    yield f'<g class="screen" id="s{number}">'
    console = Console(file=io.StringIO(), width=1000, color_system="truecolor")
    for row, line in enumerate(AnsiDecoder().decode(screen)):  # a line may go on in the colour of the one before
        column = 0
        for text, style, _ in line.render(console):
            if text.strip():
                lead = len(text) - len(text.lstrip())
                x, y = _MARGIN + (column + lead) * _CHARACTER, _TITLE + (row + 0.75) * _LINE
                body = text.strip()
                yield (
                    f'<text x="{x:g}" y="{y:g}" textLength="{len(body) * _CHARACTER:g}"{_look(style)}>'
                    f"{escape(body)}</text>"
                )
            column += len(text)
    yield "</g>"


def _look(style: Style | None) -> str:
    """The classes of the text."""
    if style is None:
        return ""
    number = style.color.number if style.color else None
    looks = [f"c{number}"] if number in _COLORS else []
    looks += ["bold"] if style.bold else []
    return f' class="{" ".join(looks)}"' if looks else ""
