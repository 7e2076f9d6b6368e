"""The protocol of solvers, which are given models and budgets and return a front with its bound, and their registry.

A strategy (`hwnas.search.strategy`) asks for evaluations one batch after the other and may be driven by anything that evaluates; a solver
looks into the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hwnas.core.arch import SearchSpace
from hwnas.core.predict import LatencyModel, Predictor
from hwnas.core.registry import Registry
from hwnas.search.archive import Front


@dataclass(frozen=True, slots=True)
class Models:
    """What is known of a space: the latency of its architectures on a device, in ms, and their accuracy."""

    space: SearchSpace
    latency: LatencyModel
    accuracy: Predictor


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
