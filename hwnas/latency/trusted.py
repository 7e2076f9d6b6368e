"""A predictor with what is known of its trustworthiness: intervals that hold, and where it was taught.

Outside of that domain no interval is worth anything: such candidates are flagged, to be measured rather than trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import load_predictor, save_predictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction, Predictor
from hwnas.latency.conformal import Intervals
from hwnas.latency.minimum import smallest
from hwnas.latency.predictors import restore
from hwnas.latency.store import optional_time
from hwnas.space.family import family_of

KIND = "latency-trusted"
DEFAULT_CONFIDENCE = 0.95
_BEYOND = 1.1
_LESS_SURE = 1.5


@dataclass(frozen=True, slots=True)
class Domain:
    """Where the measured networks lie: their predictions, ms, and the largest relative standard deviation among them."""

    low_ms: float
    high_ms: float
    relative_std: float

    @classmethod
    def of(cls, prediction: Prediction) -> Self:
        """Of the networks that a predictor was fitted on."""
        spread = prediction.std / prediction.mean
        return cls(float(prediction.mean.min()), float(prediction.mean.max()), float(spread.max()))

    def outside(self, prediction: Prediction) -> NDArray[np.bool_]:
        """Clearly quicker, slower or less sure than any measured network, ``(n,)``."""
        beyond = (prediction.mean > self.high_ms * _BEYOND) | (prediction.mean < self.low_ms / _BEYOND)
        return beyond | (prediction.std > _LESS_SURE * self.relative_std * prediction.mean)


@dataclass(frozen=True)
class TrustedLatency:
    """``kind`` is the registered name of ``predictor``; `fit` gives intervals and domain.

    ``measured_largest_ms`` is what the largest network took, None where it was not measured.
    """

    space: SearchSpace
    context: Mapping[str, str | int]
    statistic: str
    kind: str
    predictor: Predictor
    confidence: float = DEFAULT_CONFIDENCE
    intervals: Intervals | None = None
    domain: Domain | None = None
    measured_largest_ms: float | None = None

    def fit(self, codes: Codes, y: Floats, *, borrowed: Intervals | None = None, relative: bool = False) -> Self:
        """Fit the predictor, and its intervals by folds of the same networks; ``borrowed`` ones are used where they are given.

        ``relative`` is that of `Intervals`: budgets can be held against sums then.
        """
        fitted = self.predictor.fit(codes, y)
        intervals = borrowed or Intervals.from_folds(self.predictor, codes, np.asarray(y, dtype=np.float64), relative=relative)
        return replace(self, predictor=fitted, intervals=intervals, domain=Domain.of(fitted.predict(codes)))

    def at(self, confidence: float | None) -> Self:
        """The same with another confidence (None: its own); one that its networks cannot bound raises `PredictorError`."""
        if confidence is None:
            return self
        try:
            self._fitted[0].rank(confidence)
        except PredictorError as problem:
            raise PredictorError(f"{self.label}: {problem}") from None
        return replace(self, confidence=confidence)

    @property
    def label(self) -> str:
        """``device/runtime``, as errors name it."""
        return f"{self.context['device']}/{self.context['runtime']}"

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` ms."""
        return self.predictor.predict(codes)

    def bounds(self, codes: Codes, level: float | None = None) -> tuple[Floats, Floats]:
        """What a network lies between with probability ``level`` (the predictor's own confidence unless given), ``(n,), (n,)`` ms."""
        return self._fitted[0].bounds(self.predict(codes), self.confidence if level is None else level)

    def upper(self, codes: Codes) -> Floats:
        """What a network stays below with the predictor's confidence, ``(n,)`` ms."""
        return self._fitted[0].upper(self.predict(codes), self.confidence)

    def outside(self, codes: Codes) -> NDArray[np.bool_]:
        """Candidates to measure rather than to trust, ``(n,)``."""
        return self._fitted[1].outside(self.predict(codes))

    def minimum(self) -> Codes:
        """The architecture with the smallest prediction, exactly, ``(1, n_choices) int16``; of predictions that are sums over blocks.

        A prediction that is no time above 0 raises `PredictorError`.
        """
        return self._minimum

    @cached_property
    def _minimum(self) -> Codes:
        least = smallest(self.space, lambda codes: self.predict(codes).mean)
        if not (least_ms := float(self.predict(least).mean[0])) > 0:
            raise PredictorError(
                f"{self.label}: the {self.kind} model gives {least_ms:.4g} ms for the quickest architecture; measure more whole networks"
            )
        return least

    def largest_ms(self) -> float:
        """Latency of the largest architecture, measured where it was and predicted otherwise: what ``60%`` is a share of."""
        if self.measured_largest_ms is not None:
            return self.measured_largest_ms
        _, largest = family_of(self.space).extremes(self.space)
        return float(self.predict(largest.codes).mean[0])

    @property
    def networks(self) -> int:
        """How many networks of this device its bounds rest on."""
        return 0 if self.intervals is None or self.intervals.borrowed else len(self.intervals.scores)

    @property
    def _fitted(self) -> tuple[Intervals, Domain]:
        if self.intervals is None or self.domain is None:
            raise PredictorError(f"{self.label}: no interval before a fit; measure some whole networks")
        return self.intervals, self.domain

    def save(self, path: Path) -> None:
        """Store as ``path`` (``….json``) and ``….npz`` beside it."""
        intervals, domain = self._fitted
        meta, arrays = self.predictor.state()
        own = {
            **self.context,
            "space": self.space.id,
            "statistic": self.statistic,
            "kind": self.kind,
            "confidence": self.confidence,
            "borrowed": intervals.borrowed,
            "relative": intervals.relative,
            "measured_largest_ms": self.measured_largest_ms,
            "domain": [domain.low_ms, domain.high_ms, domain.relative_std],
            "predictor": meta,
        }
        save_predictor(path, KIND, own, {"scores": intervals.scores, **{f"predictor.{name}": value for name, value in arrays.items()}})

    @classmethod
    def load(cls, path: Path, space: SearchSpace, **expected: Any) -> Self:
        """What `save` wrote, which must be of ``space`` and of the ``expected`` context and statistic; else `PredictorError`."""
        stored = load_predictor(path)
        stored.require(KIND, space=space.id, **expected)
        meta = dict(stored.meta)
        try:
            inner, kind, domain = meta.pop("predictor"), str(meta.pop("kind")), [float(value) for value in meta.pop("domain")]
            arrays = {name.removeprefix("predictor."): value for name, value in stored.arrays.items() if name != "scores"}
            predictor = restore(space, kind, inner, arrays, where=str(path))
            own = {name: meta.pop(name) for name in ("statistic", "confidence", "borrowed", "relative", "space")}
            largest_ms = optional_time(meta.pop("measured_largest_ms"))
        except (KeyError, TypeError, ValueError) as problem:
            raise PredictorError(f"{path}: not a predictor as this version writes it ({problem}); fit it again") from None
        intervals = Intervals(np.sort(stored.array("scores", shape=(None,))), bool(own["borrowed"]), bool(own["relative"]))
        confidence = float(own["confidence"])
        return cls(space, meta, str(own["statistic"]), kind, predictor, confidence, intervals, Domain(*domain), largest_ms)
