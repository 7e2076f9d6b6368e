"""When a model has samples enough: the interval of the statistic that the plan names is narrow.

The interval is free of assumptions about the samples' distribution: two order statistics around the quantile, their ranks from the binomial
count of samples below it (Conover 1999, section 3.2). The host computes the same from what it stores; a test compares both.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Sequence

QUANTILES = {"p10": 0.10, "p25": 0.25, "p50": 0.50, "p90": 0.90, "p99": 0.99}
CONFIDENCE = 0.95
CAP = 4
"""A turn ends at this many times the samples that it needs at least, narrow or not."""


def half_width(samples: Sequence[float], statistic: str) -> float:
    """Half the width of the 95 % interval, relative to the statistic; infinite while the samples are too few for one with two ends."""
    quantile, n = QUANTILES[statistic], len(samples)
    if n == 0 or max(quantile, 1 - quantile) ** n > (1 - CONFIDENCE) / 2:
        return math.inf
    ordered = sorted(samples)
    place = quantile * (n - 1)
    below = min(int(place), n - 2)
    value = ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])
    low, high = ranks(n, quantile)
    width = max(ordered[high], value) - min(ordered[low], value)
    return width / 2 / value if value > 0 else math.inf


@lru_cache(maxsize=4096)
def ranks(n: int, quantile: float) -> tuple[int, int]:
    """0-based ranks of the two order statistics among ``n``."""
    tail = (1 - CONFIDENCE) / 2
    low, high, below = -1, n, 0.0
    for k in range(n + 1):
        log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        below += math.exp(log_choose + k * math.log(quantile) + (n - k) * math.log1p(-quantile))
        if below <= tail:
            low = k
        if below >= 1 - tail:
            high = k
            break
    return max(low, 0), min(high, n - 1)
