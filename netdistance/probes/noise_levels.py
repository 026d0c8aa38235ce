"""What `--noise` can be: a relative level, or the name of a format."""

from __future__ import annotations

import math

from netdistance.errors import UsageError
from netdistance.probes.noise import Noise, relative
from netdistance.probes.quantiser_box import STEPS, QuantiserBox

# the noise that float64 can hold to six digits beside the weights
LEAST_NOISE = 1e-10
# the weights are lost in it long before, and float16 ends at 65504
MOST_NOISE = 1e4


def noise_of(text: str) -> Noise:
    """The noise that a user spelled.

    Raises:
        UsageError: neither a level in range nor a known format.

    >>> noise_of("0.05").scale, noise_of("int4").unit
    (0.05, QuantiserBox(format='int4'))
    """
    if text in STEPS:
        return Noise(text, QuantiserBox(text))
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if not LEAST_NOISE <= level <= MOST_NOISE:
        raise UsageError(
            f"--noise {text}: expected levels from {LEAST_NOISE:g} to {MOST_NOISE:g} or formats "
            f"({', '.join(STEPS)}), such as 0.01,0.05,int8"
        )
    return relative(level, text)
