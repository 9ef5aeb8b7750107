"""What is written as CSV, for the programs that open it."""

# A spreadsheet takes text that begins so for a formula, and runs it.
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """The text, behind a quote if it begins like a formula. For what is not the caller's own: ADR 19."""
    return f"'{text}" if text.startswith(_BEGINS_FORMULA) else text
