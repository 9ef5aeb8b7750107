"""Reads `Accept`: which of the media types that we can send a caller would rather have. RFC 9110, 12.5.1."""

import re
from collections.abc import Iterable, Sequence

# More than anybody accepts.
_MAX_LENGTH = 1024

# Parameters other than the weight say nothing here: we have no two variants of a type.
_RANGE = re.compile(r"\s*([^\s;,]+/[^\s;,]+)\s*((?:;[^,]*)?)")
_WEIGHT = re.compile(r";\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def preferred(values: Iterable[str], offers: Sequence[str]) -> str:
    """The offer with the highest weight in all `Accept` headers, the first of several; the first if none is accepted.

    What is malformed is ignored.
    """
    weights: dict[str, float] = {}
    for value in values:
        if len(value) <= _MAX_LENGTH:
            for media_range, parameters in _RANGE.findall(value):
                weight = _WEIGHT.search(parameters)
                weights[media_range.lower()] = float(weight[1]) if weight else 1.0
    return max(offers, key=lambda offer: _weight(offer, weights))  # the first of those that are equal


def _weight(offer: str, weights: dict[str, float]) -> float:
    """That of the most specific range the offer is in."""
    kind = offer.partition("/")[0]
    return next((weights[media_range] for media_range in (offer, f"{kind}/*", "*/*") if media_range in weights), 0.0)
