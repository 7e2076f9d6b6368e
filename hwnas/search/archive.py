"""What a search found: everything that was scored, each architecture once, and the front of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, PredictorError
from hwnas.core.predict import Floats, LatencyModel, Predictor
from hwnas.search.limits import Limit, ratio
from hwnas.search.novel import Seen
from hwnas.search.pareto import pareto_front

_SPACING = 0.04
_MIN_DIFFERENT = 2


@dataclass(frozen=True, slots=True)
class Scored:
    """Architectures and what was predicted of them: ``codes: (n, n_choices) int16``, everything else ``(n,) float64``.

    ``used``: the share of the tightest limit beside the budget; 0 without limits, above 1 where one is missed.
    """

    codes: Codes
    latency_ms: Floats
    upper_ms: Floats
    accuracy: Floats
    accuracy_std: Floats
    used: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.intp]) -> Scored:
        """These rows, in this order."""
        return Scored(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Scored]) -> Scored:
        """One after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Whether all limits beside the budget are kept, ``(n,)``."""
        return self.used <= 1

    def fitting(self, budget_ms: float) -> NDArray[np.intp]:
        """Rows whose bound fits, and that keep all limits, best accuracy first, then lowest bound, then first found."""
        rows = np.flatnonzero((self.upper_ms <= budget_ms) & self.kept)
        return rows[np.lexsort((rows, self.upper_ms[rows], -self.accuracy[rows]))]


@dataclass(frozen=True, slots=True)
class Front:
    """What a search found: ``points`` is the non-dominated set over everything evaluated that keeps the limits, quickest first; ``archive``
    is all that was evaluated.

    ``bound``: no architecture within any budget has a predicted accuracy that is higher by more than this (0: the front is optimal); None
    where nothing is known of those that were not evaluated. With limits beside the budgets, only those that were asked for are meant.
    """

    space: SearchSpace
    points: Scored
    archive: Scored
    evaluated: int
    bound: float | None = None

    def best(self, budget_ms: float) -> Scored:
        """The one architecture with the best predicted accuracy within the budget; empty when nothing fits."""
        return self.archive.take(self.archive.fitting(budget_ms)[:1])

    def candidates(self, budget_ms: float, *, count: int = 5, spacing: float = _SPACING) -> Scored:
        """The best within the budget, then up to ``count - 1`` others to try should it miss when measured.

        Each next one is the best whose bound lies ``spacing`` (a share) below that of the one before and which differs in at least two
        choices from those before: what is hardly quicker than an architecture that missed would miss as well.
        """
        if count < 1 or not 0 <= spacing < 1:
            raise ConfigError(f"candidates need a count of at least 1 and a spacing of 0 to 1, not {count} and {spacing}")
        ranked = self.archive.fitting(budget_ms)
        chosen: list[np.intp] = []
        limit_ms = budget_ms
        while len(chosen) < count:
            rows = ranked[self.archive.upper_ms[ranked] <= limit_ms]
            for row in chosen:
                different = (self.archive.codes[rows] != self.archive.codes[row]).sum(axis=1)
                rows = rows[different >= _MIN_DIFFERENT]
            if not len(rows):
                break
            chosen.append(rows[0])
            limit_ms = self.archive.upper_ms[rows[0]] * (1 - spacing)
        return self.archive.take(np.array(chosen, dtype=np.intp))


class Archive:
    """Everything scored so far, each architecture once, where it was first found."""

    def __init__(self, space: SearchSpace, latency: LatencyModel, accuracy: Predictor, limits: Sequence[Limit] = ()) -> None:
        self._space = space
        self._latency = latency
        self._accuracy = accuracy
        self._limits = limits
        self._seen = Seen()
        self._parts: list[Scored] = []
        self.evaluated = 0

    def score(self, codes: Codes) -> Scored:
        """Predict and keep ``codes: (n, n_choices)``; a prediction that is not finite raises `PredictorError`."""
        accuracy = self._accuracy.predict(codes)
        mean, upper = self._latency.predict(codes).mean, self._latency.upper(codes)
        scored = Scored(codes, mean, upper, accuracy.mean, accuracy.std, ratio(self._limits, codes))
        for name in ("latency_ms", "upper_ms", "accuracy", "used"):
            if not np.isfinite(getattr(scored, name)).all():
                raise PredictorError(f"{self._latency.label}: the predictor gave a {name} that is not finite; fit it again")
        self._parts.append(scored.take(np.array(self._seen.new_rows(codes), dtype=np.intp)))
        self.evaluated += len(codes)
        return scored

    def all(self) -> Scored:
        """Everything, in the order in which it was first scored."""
        return Scored.joined(self._parts)

    def front(self, *, bound: float | None = None) -> Front:
        """The front of everything so far."""
        found = self.all()
        kept = found.take(np.flatnonzero(found.kept))
        points = kept.take(pareto_front(np.stack([kept.upper_ms, -kept.accuracy], axis=1)))
        return Front(self._space, points, found, self.evaluated, bound)
