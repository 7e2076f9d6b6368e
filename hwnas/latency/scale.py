"""Scale and intercept that bring sums of blocks to measured whole networks, and how far off they are on networks not used for the fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats

_ROUNDS = 25
_HUBER = 1.345
_MIN_FOR_INTERCEPT = 8
_CLEAR_GAIN = 0.9


@dataclass(frozen=True, slots=True)
class Fit:
    """``latency = intercept_ms + scale * sum``; ``residuals`` are leave-one-out and relative: measured / predicted - 1, ``(n,)``."""

    scale: float
    intercept_ms: float
    relative_std: float
    relative_margin: float
    residuals: Floats

    def numbers(self) -> dict[str, float | int]:
        """All but the residuals, for JSON."""
        return {
            "scale": self.scale,
            "intercept_ms": self.intercept_ms,
            "relative_std": self.relative_std,
            "relative_margin": self.relative_margin,
            "networks": len(self.residuals),
        }


def fit_scale(sums_ms: Floats, measured_ms: Floats, *, overhead_ms: float, quantile: float) -> Fit:
    """Fit both on ``n`` networks, ``(n,)`` ms each.

    The intercept is the measured overhead of one call, unless a fitted one makes the leave-one-out error clearly smaller. The margin is
    the ``ceil((n + 1) * quantile)``-th smallest residual (Vovk et al. 2005); with too few networks for that, the largest.
    """
    sums, measured = np.asarray(sums_ms, dtype=np.float64), np.asarray(measured_ms, dtype=np.float64)
    _check(sums, measured, quantile)
    fixed = _residuals(sums, measured, overhead_ms, free=False)
    free, residuals = False, fixed
    if len(sums) >= _MIN_FOR_INTERCEPT and np.ptp(sums) > 0:
        shifted = _residuals(sums, measured, overhead_ms, free=True)
        if np.mean(np.abs(shifted)) < _CLEAR_GAIN * np.mean(np.abs(fixed)):
            free, residuals = True, shifted
    scale, intercept = _line(sums, measured, overhead_ms, free=free)
    rank = min(math.ceil((len(sums) + 1) * quantile), len(sums))
    margin = max(float(np.sort(residuals)[rank - 1]), 0.0)
    return Fit(scale, intercept, float(np.sqrt(np.mean(residuals**2))), margin, residuals)


def _check(sums: Floats, measured: Floats, quantile: float) -> None:
    if not 0 < quantile < 1:
        raise PredictorError(f"the quantile of a latency bound must be between 0 and 1, not {quantile}")
    if sums.ndim != 1 or sums.shape != measured.shape or not len(sums):
        raise PredictorError(f"a latency fit needs one time a network; got {len(sums)} networks and {len(measured)} times")
    bad = ~(np.isfinite(measured) & (measured > 0) & np.isfinite(sums) & (sums > 0))
    if bad.any():
        first = int(np.argmax(bad))
        raise PredictorError(
            f"network {first} measured {measured[first]} ms with blocks of {sums[first]} ms; both must be finite and above 0: "
            "measure again when less else runs there"
        )


def _residuals(sums: Floats, measured: Floats, overhead_ms: float, *, free: bool) -> Floats:
    """Relative error of every network under a fit on the others; of a single network, under its own fit."""
    n = len(sums)
    out = np.empty(n)
    for left in range(n):
        rest = np.arange(n) != left if n > 1 else np.ones(1, dtype=bool)
        scale, intercept = _line(sums[rest], measured[rest], overhead_ms, free=free)
        out[left] = measured[left] / (intercept + scale * sums[left]) - 1
    return out


def _line(sums: Floats, measured: Floats, overhead_ms: float, *, free: bool) -> tuple[float, float]:
    """Scale and intercept by reweighted least squares of relative errors; the scale is above 0, the intercept not below 0."""
    weights = np.ones(len(sums))
    scale, intercept = 1.0, overhead_ms
    for _ in range(_ROUNDS):
        scale, intercept = _weighted(sums / measured, 1 / measured, weights, overhead_ms, free=free)
        errors = np.abs((intercept + scale * sums) / measured - 1)
        spread = 1.4826 * _median(errors)
        if spread == 0:
            break
        weights = np.minimum(1.0, _HUBER * spread / np.maximum(errors, 1e-300))
    return scale, intercept


def _median(values: Floats) -> float:
    """As `numpy.median`, without what that costs for a few dozen values: a fit asks for thousands."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _weighted(x: Floats, one: Floats, weights: Floats, overhead_ms: float, *, free: bool) -> tuple[float, float]:
    """Minimise ``sum w (intercept * one + scale * x - 1)^2``."""
    if free:
        sxx, sxo, soo = float(weights @ (x * x)), float(weights @ (x * one)), float(weights @ (one * one))
        sx, so = float(weights @ x), float(weights @ one)
        determinant = sxx * soo - sxo * sxo
        if determinant > 1e-12 * sxx * soo:
            scale, intercept = (sx * soo - so * sxo) / determinant, (so * sxx - sx * sxo) / determinant
            if scale > 0 and intercept >= 0:
                return scale, intercept
        overhead_ms = 0.0 if determinant > 0 else overhead_ms
    target = 1 - overhead_ms * one
    scale = float(weights @ (x * target)) / float(weights @ (x * x))
    # a call that costs more than the whole network was measured under other conditions: leave it out
    return (scale, overhead_ms) if scale > 0 else (float(weights @ x) / float(weights @ (x * x)), 0.0)
