"""How much is fuzzed: little and the same in every run, unless `make fuzz` asks for more."""

import os
from collections.abc import Callable

from hypothesis import seed, settings

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


def fuzzed(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a Hypothesis test: so many examples, or as many times more as was asked for."""
    return lambda test: seed(SEED)(settings(max_examples=examples * TIMES, database=None, deadline=None)(test))
