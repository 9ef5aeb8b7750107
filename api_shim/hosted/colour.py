"""Brand colours, and what can be read on them. (WCAG 2.2: relative luminance, contrast ratio.)"""

import re

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")

_LIGHT, _DARK = "#ffffff", "#000000"


def is_colour(text: str) -> bool:
    """`#1659c7`, and nothing else: it goes into a style sheet."""
    return _COLOUR.fullmatch(text) is not None


def ink_on(ground: str) -> str:
    """White or black, whichever is read more easily on this colour. The contrast is 4.5 to 1 or more on any."""
    return max((_LIGHT, _DARK), key=lambda ink: contrast(ink, ground))


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
