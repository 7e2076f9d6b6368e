"""What became slower from one table to another of the same context, with what is sure about it.

The interval of a ratio is what both intervals of 95 % allow together, so a change that it excludes is none of chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.core.device import quantile_interval
from hwnas.core.errors import RegressionError, TableError
from hwnas.latency.compare import Ratio, ratio_of
from hwnas.latency.table import LatencyTable


@dataclass(frozen=True, slots=True)
class TableDiff:
    """Blocks and networks of both tables by their ratio, the slowed-down first; ``scale`` is the median ratio with its interval."""

    label: str
    ratios: tuple[Ratio, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    scale: float
    scale_low: float
    scale_high: float

    @property
    def slower(self) -> tuple[Ratio, ...]:
        """Those that surely became slower."""
        return tuple(ratio for ratio in self.ratios if ratio.low > 1)

    @property
    def faster(self) -> tuple[Ratio, ...]:
        """Those that surely became faster, most of all first."""
        return tuple(ratio for ratio in reversed(self.ratios) if ratio.high < 1)

    def above(self, limit: float) -> tuple[Ratio, ...]:
        """Those that surely became slower by more than the share ``limit``."""
        return tuple(ratio for ratio in self.ratios if ratio.low > 1 + limit)

    def require_within(self, limit: float) -> None:
        """Raise `RegressionError` where a block or network, or all in common, surely became slower by more than the share ``limit``."""
        worse = self.above(limit)
        if worse:
            first = worse[0]
            raise RegressionError(
                f"{self.label}: {len(worse)} of {len(self.ratios)} are slower by more than {limit:.1%}, most of all {first.key}: "
                f"{first.before_ms:.4f} to {first.now_ms:.4f} ms"
            )
        if self.scale_low > 1 + limit:
            raise RegressionError(
                f"{self.label}: all in common are {self.scale - 1:.1%} slower (at least {self.scale_low - 1:.1%}), more than {limit:.1%}"
            )


def diff(before: LatencyTable, now: LatencyTable) -> TableDiff:
    """Compare two tables; other contexts, and nothing in common, raise `TableError`."""
    now.require_like(before)
    old, new = ({**table.blocks, **{key: net.measurement for key, net in table.networks.items()}} for table in (before, now))
    common = sorted(old.keys() & new.keys())
    if not common:
        raise TableError(f"{now.label}: the two tables have nothing in common to compare")
    ratios = sorted((ratio_of(key, old[key], new[key]) for key in common), key=lambda ratio: (-ratio.ratio, ratio.key))
    values = [ratio.ratio for ratio in ratios]
    low, high = quantile_interval(values, 0.5)
    added, removed = (tuple(sorted(keys)) for keys in (new.keys() - old.keys(), old.keys() - new.keys()))
    return TableDiff(now.label, tuple(ratios), added, removed, float(np.median(values)), low, high)
