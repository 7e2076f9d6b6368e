"""A predictor with what is known of its trustworthiness: intervals that hold, and where it was taught.

Outside of that domain no interval is worth anything: such candidates are flagged, to be measured rather than trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.artifacts import load_predictor, save_predictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction, Predictor
from hwnas.latency.conformal import Intervals
from hwnas.latency.predictors import restore

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
    """``kind`` is the registered name of ``predictor``; `fit` gives intervals and domain."""

    space: SearchSpace
    context: Mapping[str, str | int]
    statistic: str
    kind: str
    predictor: Predictor
    confidence: float = DEFAULT_CONFIDENCE
    intervals: Intervals | None = None
    domain: Domain | None = None

    def fit(self, codes: Codes, y: Floats, *, borrowed: Intervals | None = None) -> Self:
        """Fit the predictor, and its intervals by folds of the same networks; ``borrowed`` ones are used where they are given."""
        fitted = self.predictor.fit(codes, y)
        intervals = borrowed or Intervals.from_folds(self.predictor, codes, np.asarray(y, dtype=np.float64))
        return replace(self, predictor=fitted, intervals=intervals, domain=Domain.of(fitted.predict(codes)))

    @property
    def label(self) -> str:
        """``device/runtime``, as errors name it."""
        return f"{self.context['device']}/{self.context['runtime']}"

    def predict(self, codes: Codes) -> Prediction:
        """``(n, n_choices) int16 -> (n,)`` ms."""
        return self.predictor.predict(codes)

    def bounds(self, codes: Codes, level: float | None = None) -> tuple[Floats, Floats]:
        """What a network lies between with probability ``level`` (the predictor's own confidence unless given), ``(n,), (n,)`` ms."""
        return self._fitted[0].bounds(self.predict(codes), level or self.confidence)

    def upper(self, codes: Codes) -> Floats:
        """What a network stays below with the predictor's confidence, ``(n,)`` ms."""
        return self._fitted[0].upper(self.predict(codes), self.confidence)

    def outside(self, codes: Codes) -> NDArray[np.bool_]:
        """Candidates to measure rather than to trust, ``(n,)``."""
        return self._fitted[1].outside(self.predict(codes))

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
            own = {name: meta.pop(name) for name in ("statistic", "confidence", "borrowed", "space")}
        except (KeyError, TypeError, ValueError) as problem:
            raise PredictorError(f"{path}: not a predictor as this version writes it ({problem}); fit it again") from None
        intervals = Intervals(np.sort(stored.array("scores", shape=(None,))), bool(own["borrowed"]))
        return cls(space, meta, str(own["statistic"]), kind, predictor, float(own["confidence"]), intervals, Domain(*domain))
