"""Marks that no reader sees, and that pasting brings along: the official app wraps the handles it copies in them."""

# Soft hyphen, direction marks, zero-width characters, word joiner and byte order mark.
_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x061C, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF]
)


def without_invisible(text: str) -> str:
    """The text as a reader sees it."""
    return text.translate(_INVISIBLE)
