"""Architectures that were evaluated under one budget: each once, the best at hand, a bound on how many."""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.search.solver import Models

_KEEP = 1000
_TRIM = 4000


class Pool:
    """Evaluates at most ``trials`` architectures; those that fit ``budget_ms`` are kept, at least the best `_KEEP` of them."""

    def __init__(self, models: Models, budget_ms: float, *, trials: int, rng: np.random.Generator) -> None:
        self._models = models
        self.budget_ms = budget_ms
        self.left = trials
        self.used = 0
        width = len(models.space.choices)
        # rows are known by a random 64-bit sum of their codes
        self._key = rng.integers(1, 2**62, size=width, dtype=np.int64)
        self._seen: set[int] = set()
        self.codes: Codes = np.zeros((0, width), dtype=np.int16)
        self.accuracy: Floats = np.zeros(0)

    def latency_ms(self, codes: Codes) -> Floats:
        """What the budget is held against, ``(n, n_choices) -> (n,)``: the tightest constraint, where there are limits beside it."""
        return self._models.used_ms(codes, self.budget_ms)

    def judge(self, codes: Codes) -> tuple[Floats, Floats]:
        """Latency and accuracy of all ``codes``, ``(n,)`` each; what fits is kept, and all of them count."""
        ms = self.latency_ms(codes)
        accuracy = self._evaluate(codes)
        fits = np.flatnonzero(ms <= self.budget_ms)
        new = fits[self._new(codes[fits])]
        self._keep(codes[new], accuracy[new])
        return ms, accuracy

    def add(self, codes: Codes, *, at_most: int | None = None, at_least_ms: float = 0.0) -> tuple[Codes, Floats]:
        """Evaluate those of ``codes`` that fit and are new, as many as are left; these and their accuracies."""
        ms = self.latency_ms(codes)
        codes = codes[(ms <= self.budget_ms) & (ms >= at_least_ms)]
        limit = self.left if at_most is None else min(self.left, at_most)
        codes = codes[self._new(codes, limit)]
        accuracy = self._evaluate(codes)
        self._keep(codes, accuracy)
        return codes, accuracy

    def best(self, n: int) -> tuple[Codes, Floats]:
        """The ``n`` most accurate, best first."""
        order = np.argsort(-self.accuracy, kind="stable")[:n]
        return self.codes[order], self.accuracy[order]

    def _evaluate(self, codes: Codes) -> Floats:
        self.left -= len(codes)
        self.used += len(codes)
        if not len(codes):
            return np.zeros(0)
        accuracy = self._models.accuracy.predict(codes).mean
        if not np.isfinite(accuracy).all():
            raise PredictorError(f"{self._models.latency.label}: the predictor gave an accuracy that is not finite; fit it again")
        return accuracy

    def _new(self, codes: Codes, limit: int | None = None) -> list[int]:
        """Rows not met before, in order and once each; they are remembered."""
        rows: list[int] = []
        for row, key in enumerate((codes * self._key).sum(axis=1).tolist()):
            if len(rows) == limit:
                break
            if key not in self._seen:
                self._seen.add(key)
                rows.append(row)
        return rows

    def _keep(self, codes: Codes, accuracy: Floats) -> None:
        self.codes, self.accuracy = np.concatenate([self.codes, codes]), np.concatenate([self.accuracy, accuracy])
        if len(self.accuracy) > _TRIM:
            self.codes, self.accuracy = self.best(_KEEP)
