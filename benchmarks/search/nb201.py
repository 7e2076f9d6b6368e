"""How far from the true constrained optimum each strategy is on NAS-Bench-201, after 50, 150 and 500 queries.

A query reads the 200-epoch CIFAR-10 accuracy of one cell; latency is free. Nine problems: the 25, 50 and 75 % quantiles of the latency on
three devices as limits. The columns of 12 epochs are not read. Regrets are in points of accuracy.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._nasbench import DEVICES, cells
from benchmarks.search._regret import Problem, compared, worse_than_random
from hwnas.search.strategy import STRATEGIES

DEFAULT = "bayesian"
SEEDS, BATCH = 30, 5
AT = (50, 150, 500)
QUANTILES = (0.25, 0.50, 0.75)
SIGNIFICANT = 0.05


def problems() -> list[Problem]:
    """Nine limits on one set of cells."""
    bench = cells()
    return [
        Problem(f"{d} {q:.0%}", bench.space, bench.codes, bench.accuracy, ms, float(np.quantile(ms, q)))
        for d, ms in ((device, bench.latency_ms[device]) for device in DEVICES)
        for q in QUANTILES
    ]


def measure(quick: bool) -> Outcome:
    """Median regrets over seeds."""
    at = AT[:1] if quick else AT
    given = problems()
    regrets = compared(given[:3] if quick else given, STRATEGIES.names(), at=at, batch=BATCH, seeds=2 if quick else SEEDS)
    chance = worse_than_random(regrets)
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    for name, own in regrets.items():
        medians = np.median(own, axis=1)
        for column, queries in enumerate(at):
            figures[f"{name}_mean_{queries}"] = float(medians[:, column].mean())
            figures[f"{name}_worst_{queries}"] = float(medians[:, column].max())
            shown = " ".join(f"{m:.2f}" for m in medians[:, column])
            rows.append((name, queries, shown, f"{medians[:, column].mean():.3f}", f"{medians[:, column].max():.3f}"))
        figures[f"{name}_chance_no_worse_than_random"] = chance[name]
    figures["worse_than_random"] = float(sum(c < SIGNIFICANT for c in chance.values()))
    targets = {"worse_than_random": Target("<=", 0)}
    if not quick:
        targets |= {f"{DEFAULT}_mean_150": Target("<=", 0.06), f"{DEFAULT}_worst_150": Target("<=", 0.20)}
    columns = ("strategy", "queries", "median regret on each: " + ", ".join(p.name for p in given), "mean", "worst")
    return Outcome(columns, rows, figures, targets)


if __name__ == "__main__":
    sys.exit(main("search.nb201", measure))
