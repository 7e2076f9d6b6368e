"""How far from the true optimum each strategy is on NAS-Bench-Macro, unconstrained, after 50, 150 and 500 queries.

A query reads the mean CIFAR-10 accuracy of one architecture of 3^8. Regrets are in points of accuracy. NSGA-II is
also compared with random search by the hypervolume of accuracy and multiply-adds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._hypervolume import EVALUATIONS, hypervolumes
from benchmarks.search._hypervolume import SEEDS as VOLUME_SEEDS
from benchmarks.search._nasbench import macro
from benchmarks.search._regret import Problem, compared, worse_than_random
from benchmarks.search.nb201 import AT, BATCH, SEEDS, SIGNIFICANT
from hwnas.search.strategy import STRATEGIES


def measure(quick: bool) -> Outcome:
    """Medians and quartiles over seeds."""
    at = AT[:1] if quick else AT
    bench = macro()
    problem = Problem("NAS-Bench-Macro", bench.space, bench.codes, bench.accuracy, np.zeros(len(bench.codes)), 1.0)
    regrets = compared([problem], STRATEGIES.names(), at=at, batch=BATCH, seeds=2 if quick else SEEDS)
    chance = worse_than_random(regrets)
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    for name, own in regrets.items():
        low, median, high = np.quantile(own[0], [0.25, 0.5, 0.75], axis=0)
        for column, queries in enumerate(at):
            figures[f"{name}_{queries}"] = float(median[column])
            rows.append((name, queries, f"{median[column]:.3f}", f"{low[column]:.3f} to {high[column]:.3f}"))
        figures[f"{name}_chance_no_worse_than_random"] = chance[name]
    for name, shares in hypervolumes(bench.space, bench.codes, bench.accuracy, bench.flops, seeds=2 if quick else VOLUME_SEEDS).items():
        figures[f"{name}_hypervolume"] = float(np.median(shares))
        rows.append((name, EVALUATIONS, f"hypervolume {np.median(shares):.4f}", f"{shares.min():.4f} to {shares.max():.4f}"))
    figures["worse_than_random"] = float(sum(c < SIGNIFICANT for c in chance.values()))
    return Outcome(("strategy", "queries", "median regret", "quartiles"), rows, figures, {"worse_than_random": Target("<=", 0)})


if __name__ == "__main__":
    sys.exit(main("search.macro", measure))
