"""Intervals that hold: split-conformal bounds on networks that the fit has not seen.

The score of a held-out network is ``(measured - mean) / std``; the ``ceil((n + 1) * level)``-th smallest is a bound that a new network
stays within with probability ``level`` (Vovk et al. 2005; normalised scores: Lei et al. 2018, doi:10.1080/01621459.2017.1307116). Where a
new device has too few measurements to hold some out, the scores are borrowed: every known device is taken as new in turn.

Scores may be relative to the prediction instead, ``(measured - mean) / mean``: intervals are then not wider where less is known, but the
bound of a sum over blocks is such a sum, too, which solvers need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction, Predictor
from hwnas.latency.transfer import DevicePrior, Source, TransferLatency

_CANDIDATES = 500
_SCORES_A_DEVICE = 300
_FOLDS = 10
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Intervals:
    """``scores (n,)``: signed, sorted. ``borrowed``: they are of other devices; ``relative``: they are shares of the prediction."""

    scores: Floats
    borrowed: bool = False
    relative: bool = False

    @classmethod
    def from_held_out(cls, prediction: Prediction, measured_ms: Floats) -> Self:
        """From networks that were not used for the fit, ``(n,)``."""
        return cls(np.sort(_scores(prediction, np.asarray(measured_ms, dtype=np.float64))))

    @classmethod
    def from_folds(cls, predictor: Predictor, codes: Codes, measured_ms: Floats, *, seed: int = 0, relative: bool = False) -> Self:
        """From the fitting samples themselves, ten folds held out in turn, ``(n, n_choices)`` and ``(n,)``.

        Predictions are on average a little better than these scores say, since each fold is fitted on fewer networks.
        """
        order = np.random.default_rng(seed).permutation(len(codes))
        scores = []
        for fold in np.array_split(order, min(_FOLDS, len(codes))):
            rest = np.setdiff1d(order, fold)
            found = predictor.fit(codes[rest], measured_ms[rest]).predict(codes[fold])
            scores.append(_scores(Prediction(found.mean, found.mean) if relative else found, measured_ms[fold]))
        return cls(np.sort(np.concatenate(scores)), relative=relative)

    @classmethod
    def from_other_devices(cls, prior: DevicePrior, sources: Sequence[Source], *, count: int, seed: int = 0, repeats: int = 2) -> Self:
        """What `TransferLatency` with ``count`` measurements of a new device errs by, tried on every known physical device."""
        rng = np.random.default_rng(seed)
        pooled = []
        for device in prior.devices:
            own = [source for source in sources if source.device == device]
            rest = prior.without(device)
            scores = [_tried(rest, source, count, rng) for source in own for _ in range(repeats)]
            pooled.append(rng.choice(np.concatenate(scores), _SCORES_A_DEVICE))
        return cls(np.sort(np.concatenate(pooled)), borrowed=True)

    def bounds(self, prediction: Prediction, level: float) -> tuple[Floats, Floats]:
        """What a network lies between with probability ``level``, ``(n,), (n,)`` ms; never below 0."""
        reach = float(np.sort(np.abs(self.scores))[self.rank(level) - 1]) * self._unit(prediction)
        return np.maximum(prediction.mean - reach, 0.0), prediction.mean + reach

    def upper(self, prediction: Prediction, level: float) -> Floats:
        """What a network stays below with probability ``level``, ``(n,)`` ms; never below the prediction."""
        return prediction.mean + max(float(self.scores[self.rank(level) - 1]), 0.0) * self._unit(prediction)

    def _unit(self, prediction: Prediction) -> Floats:
        return prediction.mean if self.relative else prediction.std

    @property
    def highest(self) -> float:
        """The highest level that so many scores can bound."""
        return len(self.scores) / (len(self.scores) + 1)

    def rank(self, level: float) -> int:
        """Which of the sorted scores bounds a share ``level``, from 1; too few for it raise `PredictorError`."""
        require_level(level)
        count = len(self.scores)
        rank = math.ceil((count + 1) * level - _ROUNDING)
        if rank > count:
            raise PredictorError(
                f"{count} held-out networks cannot bound a share of {level:g}; measure {networks_for(level) - count} more, or borrow from "
                "other devices"
            )
        return rank


def require_level(level: float) -> None:
    """Raise `PredictorError` unless ``level`` is the confidence of an interval: between 0 and 1."""
    if not 0 < level < 1:
        raise PredictorError(f"the confidence of an interval must be between 0 and 1, not {level:g}")


def networks_for(level: float) -> int:
    """How many held-out networks can bound a share ``level``."""
    return math.ceil(level / (1 - level) - _ROUNDING)


def _tried(prior: DevicePrior, source: Source, count: int, rng: np.random.Generator) -> Floats:
    candidates = rng.choice(len(source.codes), min(_CANDIDATES, len(source.codes)), replace=False)
    chosen = candidates[prior.choose(source.codes[candidates], count)]
    rest = np.setdiff1d(np.arange(len(source.codes)), chosen)
    fitted = TransferLatency(prior.space, source.label, prior).fit(source.codes[chosen], source.measured_ms[chosen])
    return _scores(fitted.predict(source.codes[rest]), source.measured_ms[rest])


def _scores(prediction: Prediction, measured_ms: Floats) -> Floats:
    if not (np.isfinite(measured_ms).all() and np.isfinite(prediction.mean).all() and (prediction.std > 0).all()):
        raise PredictorError("an interval needs finite predictions with a standard deviation above 0, and finite measurements")
    scores: Floats = (measured_ms - prediction.mean) / prediction.std
    return scores
