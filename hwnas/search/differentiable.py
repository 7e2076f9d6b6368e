"""Differentiable search: chances in place of choices, followed uphill in accuracy and downhill in latency, while they harden.

The relaxation is that of DARTS (Liu et al. 2019, arXiv 1806.09055), a softmax over the options of every choice, with architectures drawn
from it and an expected latency in the loss as in ProxylessNAS (Cai et al. 2019, arXiv 1812.00332) and a falling temperature (Xie et al.
2019, SNAS, arXiv 1812.09926). Predictors need not be differentiable: what is followed is the expectation of their value, whose slope along
an option is what that option adds to a drawn architecture. The weight of the latency, or of what is limited more tightly beside it, rises
while the expected one is beyond the budget.

Zela et al. 2020 (arXiv 1909.09656) show how such a search goes on to architectures of parameter-free options that are worse than those
it passed, and stop it before. Here the predictor says how good the derived architecture is at every step, so that the descent
ends when that has not risen for a while, and begins again elsewhere while there are trials.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats
from hwnas.search.adam import Adam
from hwnas.search.archive import Archive, Front
from hwnas.search.feasible import begun
from hwnas.search.solver import SOLVERS, Models

_RATE, _DUAL_RATE = 0.2, 0.01
_HOT, _COLD = 1.0, 0.1
_STEPS, _PATIENCE = 80, 15
_DRAWS = 2
_UNSURE = 0.3


class Differentiable:
    """The solver; ``trials`` is how many architectures are predicted for each budget, about."""

    def __init__(self, *, seed: int = 0, trials: int = 20_000) -> None:
        if trials < 1:
            raise ConfigError(f"a search needs at least 1 trial, not {trials}")
        self._seed = seed
        self._trials = trials

    def solve(self, models: Models, budgets_ms: Sequence[float]) -> Front:
        """The best found for every budget; nothing is certain of what was not evaluated, so that `Front.bound` is None."""
        first = begun(models, budgets_ms)
        archive = Archive(models.space, models.latency, models.accuracy, models.limits)
        archive.score(first)
        budgets = sorted({float(b) for b in budgets_ms})
        for budget_ms, seed in zip(budgets, np.random.SeedSequence(self._seed).spawn(len(budgets)), strict=True):
            rng = np.random.default_rng(seed)
            end = archive.evaluated + self._trials
            for _ in range(self._trials):
                _Descent(models, archive, budget_ms, rng).run(end)
                if archive.evaluated >= end:
                    break
        return archive.front()


class _Descent:
    """One descent: ``logits (sum of options,)``, and the weight of the latency."""

    def __init__(self, models: Models, archive: Archive, budget_ms: float, rng: np.random.Generator) -> None:
        self._models, self._archive, self._budget_ms, self._rng = models, archive, budget_ms, rng
        space = models.space
        counts = space.n_options.astype(np.int64)
        self._first = np.cumsum(counts) - counts
        self._owner = np.repeat(np.arange(len(counts)), counts)
        self._option = np.concatenate([np.arange(n) for n in counts]).astype(np.int16)
        self._mask = self._owner[:, None] == np.arange(len(counts))
        self._logits: Floats = rng.normal(0, _UNSURE, len(self._owner))
        self._weight = 1.0

    def run(self, end: int) -> None:
        """Until the derived architecture has not become better for a while; ``end`` is how many the archive may have evaluated."""
        adam = Adam({"logits": self._logits}, rate=_RATE)
        best, since = -np.inf, 0
        for number in range(_STEPS):
            room = end - self._archive.evaluated
            if room <= 0 or since >= _PATIENCE:
                break
            temperature = _HOT * (_COLD / _HOT) ** (number / (_STEPS - 1))
            chances = self._chances(temperature)
            derived = self._archive.score(self._derived(chances))
            found = float(derived.accuracy[0]) if len(derived.fitting(self._budget_ms)) else -np.inf
            best, since = max(best, found), 0 if found > best else since + 1
            if room > 1:
                adam.descend({"logits": self._slope(chances, room - 1) / temperature})

    def _slope(self, chances: Floats, room: int) -> Floats:
        """Of the loss along every logit, at temperature 1; evaluates at most ``room`` architectures."""
        swapped = np.concatenate([self._swapped(self._drawn(chances)) for _ in range(_DRAWS)])
        scored = self._archive.score(swapped[:room])
        if len(scored) < len(swapped):
            return np.zeros(len(chances))
        accuracy = scored.accuracy.reshape(_DRAWS, -1)
        over = np.maximum(scored.upper_ms / self._budget_ms, scored.used).reshape(_DRAWS, -1) - 1
        # in units of what options usually change, so that the two terms can be weighed
        accuracy, scale = accuracy - accuracy.mean(), max(float(accuracy.std()), 1e-12)
        expected = float((over * chances).sum() / (_DRAWS * len(self._models.space.choices)))
        self._weight = max(0.0, self._weight + _DUAL_RATE * expected / max(float(over.std()), 1e-12))
        loss = (self._weight * over / max(float(over.std()), 1e-12) - accuracy / scale).mean(axis=0)
        usual = np.bincount(self._owner, chances * loss)[self._owner]
        slope: Floats = chances * (loss - usual)
        return slope

    def _chances(self, temperature: float) -> Floats:
        scaled = self._logits / temperature
        grown = np.exp(scaled - np.maximum.reduceat(scaled, self._first)[self._owner])
        chances: Floats = grown / np.bincount(self._owner, grown)[self._owner]
        return chances

    def _drawn(self, chances: Floats) -> Codes:
        """An architecture, every choice by its chances (the largest of Gumbel-perturbed logarithms); ``(1, n_choices)``."""
        return self._largest(np.log(np.maximum(chances, 1e-300)) + self._rng.gumbel(size=len(chances)))

    def _derived(self, chances: Floats) -> Codes:
        """The likeliest options, made to fit: whatever loses the least likelihood for what it saves gives way; ``(1, n_choices)``."""
        code = self._largest(chances)
        logs = np.log(np.maximum(chances, 1e-300))
        for _ in range(len(chances)):
            ms = float(self._models.used_ms(code, self._budget_ms)[0])
            if ms <= self._budget_ms:
                break
            near = self._swapped(code)
            saved = ms - self._models.used_ms(near, self._budget_ms)
            lost = logs[self._first + code[0]][self._owner] - logs
            if not (saved > 0).any():
                break
            code = near[[int(np.argmin(np.where(saved > 0, np.maximum(lost, 1e-9) / np.maximum(saved, 1e-12), np.inf)))]]
        return code

    def _largest(self, values: Floats) -> Codes:
        """The option with the largest value of every choice, ``(1, n_choices)``."""
        order = np.lexsort((-values, self._owner))
        return self._models.space.canonical(self._option[order[self._first]][None])

    def _swapped(self, code: Codes) -> Codes:
        """``code (1, n_choices)`` with each option in place of its own, ``(sum of options, n_choices)``."""
        return self._models.space.canonical(np.where(self._mask, self._option[:, None], code).astype(np.int16))


SOLVERS.register("differentiable", Differentiable)
