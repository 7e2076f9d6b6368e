"""Additive latency predictors as files hold them; a predictor of another space is refused."""

from __future__ import annotations

import math
from typing import Any

from hwnas.core.arch import SearchSpace
from hwnas.core.artifacts import StoredPredictor
from hwnas.core.errors import PredictorError
from hwnas.latency.additive import KIND, AdditiveLatency
from hwnas.latency.scale import Fit
from hwnas.space.family import blockwise

CONTEXT = ("device", "runtime", "precision", "threads", "batch", "regime")


def restore_latency(space: SearchSpace, stored: StoredPredictor) -> AdditiveLatency:
    """The additive predictor of ``space`` that a file holds; one of another space raises `PredictorError`."""
    stored.require(KIND, space=space.id)
    meta, path = stored.meta, stored.where
    times = stored.array("times_ms", shape=(len(blockwise(space).vocabulary(space)),))
    try:
        return AdditiveLatency(
            space=space,
            context={name: meta[name] for name in CONTEXT},
            statistic=meta["statistic"],
            block_statistic=meta["block_statistic"],
            overhead_ms=float(meta["overhead_ms"]),
            times_ms=times,
            quantile=float(meta["quantile"]),
            scaling=_fit(stored),
            measured_largest_ms=optional_time(meta["measured_largest_ms"]),
        )
    except KeyError as problem:
        raise PredictorError(
            f"{path}: not a latency predictor as this version writes it (it has no {problem}); run 'hwnas profile' to write it anew"
        ) from None
    except (TypeError, ValueError) as problem:
        raise PredictorError(f"{path}: not a latency predictor as this version writes it ({problem}); fit it again") from None


def optional_time(value: Any) -> float | None:
    """A stored time above 0, in ms, or None; anything else raises ``ValueError`` or ``TypeError``."""
    if value is not None and not 0 < float(value) < math.inf:
        raise ValueError(f"a time of {value} ms")
    return None if value is None else float(value)


def _fit(stored: StoredPredictor) -> Fit | None:
    numbers = stored.meta["fit"]
    if numbers is None:
        return None
    return Fit(
        scale=float(numbers["scale"]),
        intercept_ms=float(numbers["intercept_ms"]),
        relative_std=float(numbers["relative_std"]),
        relative_margin=float(numbers["relative_margin"]),
        residuals=stored.array("residuals", shape=(int(numbers["networks"]),)),
    )
