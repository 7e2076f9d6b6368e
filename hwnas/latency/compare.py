"""Does a table still hold? Some of its models, timed again, against what it says of them.

Each model gives a ratio, now to then. Their median is the common scale; what is left beside it is the spread. A device whose models all
became faster or slower alike needs one factor; one where some did and others did not needs a new table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.core.device import Measurement, quantile_interval
from hwnas.core.errors import TableError, TooNoisy

SCALE_WITHIN = 0.05
"""How far the common scale may be from 1 for a table to hold."""
SPREAD_WITHIN = 0.08
"""How far nine of ten models may be from the common scale, relatively: twice what two sessions on an unchanged device differ by."""
STATISTIC = "p50"


@dataclass(frozen=True, slots=True)
class Ratio:
    """One model, now to then, with the interval that both intervals of 95 % allow."""

    key: str
    before_ms: float
    now_ms: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """Above 1: slower now."""
        return self.now_ms / self.before_ms


@dataclass(frozen=True, slots=True)
class Comparison:
    """``scale`` is the median ratio with its interval, ``spread`` what nine of ten models stay within beside it.

    ``verdict``: ``holds``, ``scale`` (one factor would do) or ``again`` (a new table is needed).
    """

    ratios: tuple[Ratio, ...]
    scale: float
    scale_low: float
    scale_high: float
    spread: float

    @property
    def verdict(self) -> str:
        """By `SCALE_WITHIN` and `SPREAD_WITHIN`."""
        if self.spread > SPREAD_WITHIN:
            return "again"
        return "holds" if abs(self.scale - 1) <= SCALE_WITHIN else "scale"


def compare(before: Mapping[str, Measurement], now: Mapping[str, Measurement]) -> Comparison:
    """Compare the models of ``now`` with what a table says of them.

    Fewer than three, or one that is not in ``before``, raise `TableError`; medians that are not known well enough, `TooNoisy`.
    """
    foreign = sorted(now.keys() - before.keys())
    if foreign or len(now) < 3:
        raise TableError(f"{foreign[0]} is not in the table" if foreign else "at least three models are needed to compare a table by")
    ratios = tuple(ratio_of(key, before[key], measurement) for key, measurement in now.items())
    width = float(np.median([r.high / r.low - 1 if r.low > 0 else math.inf for r in ratios])) / 2
    if width > SPREAD_WITHIN:
        known = f"known to {width:.0%} only" if math.isfinite(width) else "not known at all"
        raise TooNoisy(
            f"the ratios to the table are {known}, which does not tell a change of {SPREAD_WITHIN:.0%}; "
            "compare again when less else runs there"
        )
    values = [r.ratio for r in ratios]
    scale = float(np.median(values))
    low, high = quantile_interval(values, 0.5)
    spread = float(np.quantile([abs(value / scale - 1) for value in values], 0.9))
    return Comparison(ratios, scale, low, high, spread)


def ratio_of(key: str, before: Measurement, now: Measurement) -> Ratio:
    """The ratio of two measurements of ``key``; where an interval is not known, neither is that of the ratio."""
    low, high = before.interval_ms(STATISTIC)
    now_low, now_high = now.interval_ms(STATISTIC)
    ends = (now_low / high, now_high / low if low > 0 else math.inf)
    return Ratio(key, before.quantile_ms(STATISTIC), now.quantile_ms(STATISTIC), *ends)
