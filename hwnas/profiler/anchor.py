"""Bringing times of one session to another in which the device was in another state, by models that were measured in both.

A busy neighbour slows models down by 1.5 to 2 times, each by its own factor, which depends on how long and of what kind it is: one constant
does not bring one state to the other, but an affine map of logarithms from 10 to 14 models nearly does. How nearly is what the anchors say
when each is mapped by the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import TooNoisy

MIN_ANCHORS = 10
MAX_ERROR = 0.035
"""Sessions whose anchors are off by more than this, in the median and each mapped by the others, are not comparable."""
_ROUNDS = 20
_HUBER = 1.345
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Anchoring:
    """``log(there) = shift + slope * log(here)``, ms.

    ``error`` is the median relative error of the anchors, each mapped by the others, ``worst`` the largest: what a model of their kind is
    off by at most in n of n + 1 cases, with n anchors.
    """

    slope: float
    shift: float
    error: float
    worst: float
    anchors: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether times of the two sessions may be compared at all."""
        return self.error <= MAX_ERROR

    def convert_ms(self, here_ms: float) -> float:
        """A time of this session as it would be there, in ms. Sessions that are not comparable raise `TooNoisy`."""
        if not self.comparable:
            raise TooNoisy(
                f"the two sessions are not comparable: {len(self.anchors)} models that were measured in both are off by "
                f"{100 * self.error:.1f} % after the best map; measure again when less else runs there"
            )
        return math.exp(self.shift + self.slope * math.log(here_ms))


def anchoring(here_ms: Mapping[str, float], there_ms: Mapping[str, float]) -> Anchoring:
    """The map that the models in both sessions give. Fewer than `MIN_ANCHORS` of them raise `TooNoisy`."""
    keys = tuple(sorted(here_ms.keys() & there_ms.keys()))
    if len(keys) < MIN_ANCHORS:
        raise TooNoisy(f"sessions are brought together by {MIN_ANCHORS} models or more that were measured in both, not by {len(keys)}")
    x, y = (np.log([times[key] for key in keys]) for times in (here_ms, there_ms))
    if not np.all(np.isfinite(x) & np.isfinite(y)):
        raise TooNoisy("anchors must have times that are finite and above 0")
    errors = []
    for left in range(len(keys)):
        rest = np.arange(len(keys)) != left
        slope, shift = _line(x[rest], y[rest])
        errors.append(abs(math.expm1(float(shift + slope * x[left] - y[left]))))
    slope, shift = _line(x, y)
    return Anchoring(slope, shift, float(np.median(errors)), max(errors), keys)


def spread_over(times_ms: Mapping[str, float], count: int) -> tuple[str, ...]:
    """``count`` keys whose times are spread evenly from the quickest to the slowest: what serves as anchors."""
    ordered = sorted(times_ms, key=lambda key: (times_ms[key], key))
    picks = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int))
    return tuple(ordered[i] for i in picks)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and shift by iteratively reweighted least squares (Huber 1964); equal ``x`` give slope 1."""
    weights = np.ones(len(x))
    slope, shift = 1.0, 0.0
    for _ in range(_ROUNDS):
        total = weights.sum()
        mean_x, mean_y = float(weights @ x) / total, float(weights @ y) / total
        across = float(weights @ (x - mean_x) ** 2)
        slope = float(weights @ ((x - mean_x) * (y - mean_y))) / across if across > 1e-12 else 1.0
        shift = mean_y - slope * mean_x
        off = np.abs(shift + slope * x - y)
        scale = 1.4826 * float(np.median(off))
        if scale < 1e-12:
            break
        weights = np.minimum(1.0, _HUBER * scale / np.maximum(off, 1e-300))
    return slope, shift
