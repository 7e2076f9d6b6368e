"""How far from the true optimum each strategy is on NAS-Bench-Macro, unconstrained, after 50, 150 and 500 queries.

A query reads the mean CIFAR-10 accuracy of one architecture of 3^8. Regrets are in points of accuracy. NSGA-II is
also compared with random search by the hypervolume of accuracy and multiply-adds. Options are those of `benchmarks.search.nb201`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._bands import draw
from benchmarks.search._hypervolume import EVALUATIONS, hypervolumes
from benchmarks.search._hypervolume import SEEDS as VOLUME_SEEDS
from benchmarks.search._kept import Asked, asked, curves
from benchmarks.search._nasbench import macro
from benchmarks.search._regret import Problem, worse_than_random
from benchmarks.search.nb201 import AT, BATCH, SEEDS, SIGNIFICANT


def measure(quick: bool, options: Asked) -> Outcome:
    """Medians and quartiles over seeds."""
    at = AT[:1] if quick else AT
    bench = macro()
    problem = Problem("NAS-Bench-Macro", bench.space, bench.codes, bench.accuracy, np.zeros(len(bench.codes)), 1.0)
    seeds = options.seeds or (2 if quick else SEEDS)
    regrets = curves([problem], options.strategies, queries=at[-1], batch=BATCH, seeds=seeds, state=options.state)
    if options.plot:
        draw([problem], regrets, options.plot)
    chance = worse_than_random(regrets)
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {"seeds": float(seeds)}
    for name, own in regrets.items():
        low, median, high = np.quantile(own[0][:, [queries - 1 for queries in at]], [0.25, 0.5, 0.75], axis=0)
        for column, queries in enumerate(at):
            figures[f"{name}_{queries}"] = float(median[column])
            rows.append((name, queries, f"{median[column]:.3f}", f"{low[column]:.3f} to {high[column]:.3f}"))
        figures[f"{name}_chance_no_worse_than_random"] = chance[name]
    for name, shares in hypervolumes(bench.space, bench.codes, bench.accuracy, bench.flops, seeds=2 if quick else VOLUME_SEEDS).items():
        figures[f"{name}_hypervolume"] = float(np.median(shares))
        rows.append((name, EVALUATIONS, f"hypervolume {np.median(shares):.4f}", f"{shares.min():.4f} to {shares.max():.4f}"))
    figures["worse_than_random"] = float(sum(c < SIGNIFICANT for c in chance.values()))
    targets = {"worse_than_random": Target("<=", 0)} | ({} if quick else {"seeds": Target(">=", SEEDS)})
    return Outcome(("strategy", "queries", "median regret", "quartiles"), rows, figures, targets)


if __name__ == "__main__":
    own, others = asked("search.macro", sys.argv[1:])
    sys.exit(main("search.macro", lambda quick: measure(quick, own), others))
