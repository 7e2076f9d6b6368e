"""The best architectures under every latency budget, from predictors, in one archive that all budgets share.

Budgets are searched from small to large. What is found for one budget competes for every other, so accuracy never falls when a budget
grows. Budgets are held against the upper bound of the latency, not its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, PredictorError
from hwnas.core.predict import Floats, LatencyModel, Predictor
from hwnas.search.feasible import check_budgets
from hwnas.search.novel import Seen
from hwnas.search.pareto import pareto_front
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials, search

_ELITE = 64
_SPACING = 0.04
_MIN_DIFFERENT = 2


@dataclass(frozen=True, slots=True)
class Scored:
    """Architectures and what was predicted of them: ``codes: (n, n_choices) int16``, everything else ``(n,) float64``."""

    codes: Codes
    latency_ms: Floats
    upper_ms: Floats
    accuracy: Floats
    accuracy_std: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.intp]) -> Scored:
        """These rows, in this order."""
        return Scored(self.codes[rows], self.latency_ms[rows], self.upper_ms[rows], self.accuracy[rows], self.accuracy_std[rows])

    def fitting(self, budget_ms: float) -> NDArray[np.intp]:
        """Rows whose bound fits, best accuracy first, then lowest bound, then first found."""
        rows = np.flatnonzero(self.upper_ms <= budget_ms)
        return rows[np.lexsort((rows, self.upper_ms[rows], -self.accuracy[rows]))]


@dataclass(frozen=True, slots=True)
class Front:
    """What a search found: ``points`` is the non-dominated set over everything evaluated, quickest first; ``archive`` is all of it."""

    space: SearchSpace
    points: Scored
    archive: Scored
    evaluated: int

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


def find_front(
    space: SearchSpace,
    latency: LatencyModel,
    accuracy: Predictor,
    budgets_ms: Sequence[float],
    *,
    strategy: str = "evolution",
    trials: int = 10_000,
    batch: int = 256,
    seed: int = 0,
) -> Front:
    """Search ``trials`` architectures for every budget; the same seed gives the same front, bit for bit.

    Raises `UnknownNameError` for an unknown strategy and `InfeasibleError` for a budget that nothing fits, both before any search.
    """
    make = STRATEGIES.get(strategy)
    check_budgets(space, latency, budgets_ms)
    budgets = sorted({float(b) for b in budgets_ms})
    seeds = np.random.SeedSequence(seed).generate_state(len(budgets))
    archive = _Archive(latency, accuracy)
    initial = latency.minimum()
    archive.score(initial)
    for budget_ms, own_seed in zip(budgets, seeds, strict=True):
        known = archive.all()
        elite = known.codes[known.fitting(budget_ms)[:_ELITE]]
        started = make(space, seed=int(own_seed), initial=elite)
        search(started, partial(archive.evaluate, budget_ms=budget_ms), trials=trials, batch=batch)
    found = archive.all()
    return Front(space, found.take(pareto_front(np.stack([found.upper_ms, -found.accuracy], axis=1))), found, archive.evaluated)


class _Archive:
    """Everything scored so far, each architecture once, where it was first found."""

    def __init__(self, latency: LatencyModel, accuracy: Predictor) -> None:
        self._latency = latency
        self._accuracy = accuracy
        self._seen = Seen()
        self._parts: list[Scored] = []
        self.evaluated = 0

    def score(self, codes: Codes) -> Scored:
        accuracy = self._accuracy.predict(codes)
        scored = Scored(codes, self._latency.predict(codes).mean, self._latency.upper(codes), accuracy.mean, accuracy.std)
        for name in ("latency_ms", "upper_ms", "accuracy"):
            if not np.isfinite(getattr(scored, name)).all():
                raise PredictorError(f"{self._latency.label}: the predictor gave a {name} that is not finite; fit it again")
        self._parts.append(scored.take(np.array(self._seen.new_rows(codes), dtype=np.intp)))
        self.evaluated += len(codes)
        return scored

    def evaluate(self, trials: Trials, *, budget_ms: float) -> Outcomes:
        scored = self.score(trials.codes)
        return Outcomes(-scored.accuracy[:, None], np.maximum(scored.upper_ms / budget_ms - 1, 0.0))

    def all(self) -> Scored:
        names = ("codes", "latency_ms", "upper_ms", "accuracy", "accuracy_std")
        return Scored(*(np.concatenate([getattr(part, name) for part in self._parts]) for name in names))
