"""Which range of real numbers the 256 values of a quantised tensor stand for, from what the tensor holds on calibration images.

``minmax`` covers all that was seen. The others look at a histogram and may clip: ``percentile`` all but the outermost 0.01 % of values,
``mse`` to the least expected squared error (Banner et al. 2019, arXiv:1810.05723). Every range holds 0, which quantisation must meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
Values = Mapping[str, NDArray[Any]]
Counts = NDArray[np.float64]

BINS = 2048
LEVELS = 256
TINY = float(np.finfo(np.float32).tiny)
OUTERMOST = 1e-4
STEPS = 40
"""Ranges that are tried between all and a fifth of what was seen, where a step is still wider than a bin."""
SMALLEST = 0.2


def ranges_of(read: Callable[[], Iterable[Values]], method: str) -> dict[str, Range]:
    """The range of each tensor by ``method``, one of `RANGES`; ``read()`` gives its values, batch by batch, and is called once or twice."""
    seen: dict[str, Range] = {}
    for values in read():
        for name, array in values.items():
            low, high = seen.get(name, (0.0, 0.0))
            seen[name] = min(low, float(array.min())), max(high, float(array.max()))
    chosen = RANGES[method]
    if chosen is None:
        return seen
    counts = {name: np.zeros(BINS) for name, (low, high) in seen.items() if (high - low) / BINS > TINY}
    for values in read():
        for name in counts.keys() & values.keys():
            counts[name] += np.histogram(values[name], BINS, seen[name])[0]
    return {name: chosen(counts[name], *seen[name]) if name in counts else seen[name] for name in seen}


def percentile(counts: Counts, low: float, high: float) -> Range:
    """Without the outermost `OUTERMOST` of the values on each side."""
    edges = np.linspace(low, high, BINS + 1)
    below = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(below, OUTERMOST, side="right"))
    last = int(np.searchsorted(below, 1 - OUTERMOST))
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last + 1, BINS)]))


def mse(counts: Counts, low: float, high: float) -> Range:
    """With the least expected squared error: of rounding within, of clipping beyond."""
    centres = _centres(low, high)

    def error(at: Range) -> float:
        step = (at[1] - at[0]) / (LEVELS - 1)
        rounded = at[0] + np.round((np.clip(centres, *at) - at[0]) / step) * step
        return float(counts @ (centres - rounded) ** 2)

    return min(_candidates(low, high), key=error)


def _centres(low: float, high: float) -> Counts:
    edges = np.linspace(low, high, BINS + 1)
    return np.asarray((edges[:-1] + edges[1:]) / 2, dtype=np.float64)


def _candidates(low: float, high: float) -> list[Range]:
    """All that was seen, and less of each side that has more to it: the longer side is cut first, the other where it would be longer."""
    reach = max(-low, high)
    cuts = reach * np.linspace(1.0, SMALLEST, STEPS)
    return [(max(low, -float(cut)), min(high, float(cut))) for cut in cuts]


RANGES: Mapping[str, Callable[[Counts, float, float], Range] | None] = MappingProxyType(
    {"minmax": None, "percentile": percentile, "mse": mse}
)
"""How ranges are chosen, by name; None takes what was seen."""
