"""The protocol of solvers, which are given models and budgets and return a front with its bound, and their registry.

A strategy (`hwnas.search.strategy`) asks for evaluations one batch after the other and may be driven by anything that evaluates; a solver
looks into the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats, LatencyModel, Predictor
from hwnas.core.registry import Registry
from hwnas.search.archive import Front
from hwnas.search.limits import Limit, ratio


@dataclass(frozen=True, slots=True)
class Models:
    """What is known of a space: the latency of its architectures on a device, in ms, their accuracy, and what else is limited.

    ``known: (k, n_choices)`` are architectures worth beginning from.
    """

    space: SearchSpace
    latency: LatencyModel
    accuracy: Predictor
    limits: tuple[Limit, ...] = ()
    known: Codes | None = None

    def used_ms(self, codes: Codes, budget_ms: float) -> Floats:
        """The budget's share that the tightest constraint uses, in ms: at most ``budget_ms`` where all are kept, ``(n,)``.

        Without limits that is the latency's bound. A limit on the largest part counts only where it is missed: how near it is says little
        of what else there is room for.
        """
        used = self.latency.upper(codes)
        for limit in self.limits:
            own = budget_ms * ratio([limit], codes)
            used = np.maximum(used, np.where(own > budget_ms, own, 0.0) if limit.hard else own)
        return used


class Solver(Protocol):
    """Finds the front of models, and says how far from the optimum it can be."""

    def solve(self, models: Models, budgets_ms: Sequence[float]) -> Front:
        """A front with a point for every budget, which all are feasible; ``Front.bound`` is None where nothing is certain."""
        ...


class SolverFactory(Protocol):
    """Makes a solver; ``trials`` is how many accuracies it may predict for a budget where it needs to choose."""

    def __call__(self, *, seed: int, trials: int) -> Solver:
        """A solver."""
        ...


# the word that errors use is the user's: what a search is done with
SOLVERS: Registry[SolverFactory] = Registry("strategy")
