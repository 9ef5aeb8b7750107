"""Identifiers: a prefix that says what it names, then a ULID (time-ordered, so indexes stay local).

Source: https://github.com/ulid/spec, written in lower case.
"""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)  # of thirteen pairs: 26 characters


def new_id(prefix: str) -> str:
    """`ct_01jd…`: 48 bits of milliseconds, 80 random bits."""
    value = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return f"{prefix}_" + "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])
