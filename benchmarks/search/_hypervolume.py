"""How much of what the true front of a measured space dominates is dominated by what a strategy found (Zitzler & Thiele 1998)."""

from __future__ import annotations

import numpy as np

from benchmarks.search._nasbench import position, ranks
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.search.pareto import pareto_front
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials, search

SEEDS, EVALUATIONS, BATCH = 10, 500, 50
NAMES = ("nsga2", "random")


def hypervolumes(space: SearchSpace, codes: Codes, accuracy: Floats, cost: Floats, *, seeds: int) -> dict[str, Floats]:
    """For each of `NAMES` the share of the true hypervolume after as many evaluations, ``(seeds,)``, up to the worst accuracy and cost."""
    where = position(space, codes)
    points = np.stack([-accuracy, cost], axis=1)
    worst = points.max(axis=0)

    def judge(asked: Trials) -> Outcomes:
        return Outcomes(points[where[ranks(space, asked.codes)]], np.zeros(len(asked)))

    whole = volume(points, worst)
    found = {}
    for name in NAMES:
        runs = [search(STRATEGIES.get(name)(space, seed=s), judge, trials=EVALUATIONS, batch=BATCH) for s in range(seeds)]
        found[name] = np.array([volume(run.objectives, worst) for run in runs]) / whole
    return found


def volume(points: Floats, worst: Floats) -> float:
    """The area between ``points: (n, 2)``, both minimised, and ``worst: (2,)``."""
    front = points[pareto_front(points)]
    edges = np.append(front[1:, 0], worst[0])
    return float(((edges - front[:, 0]) * (worst[1] - front[:, 1])).sum())
