"""How far from the true constrained optimum each strategy is on NAS-Bench-201, after 50, 150 and 500 queries.

A query reads the 200-epoch CIFAR-10 accuracy of one cell; latency is free. Nine problems: the 25, 50 and 75 % quantiles of the latency on
three devices as limits. The columns of 12 epochs are not read. Regrets are in points of accuracy.
NSGA-II has its own measure: the hypervolume of accuracy and latency, against random search at equal evaluations.

``--state FOLDER`` (default: below ``runs/``, which git ignores) is where runs are kept, so that an interrupted comparison goes on;
``--seeds N`` and ``--strategies NAME …`` ask for less, ``--plot FILE`` draws regrets over queries with bands over seeds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
from functools import partial

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._bands import draw
from benchmarks.search._hypervolume import EVALUATIONS, hypervolumes
from benchmarks.search._hypervolume import SEEDS as VOLUME_SEEDS
from benchmarks.search._kept import Asked, asked, curves
from benchmarks.search._nasbench import DEVICES, cells
from benchmarks.search._regret import Problem, worse_than_random
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.space.moves import encode
from hwnas.space.nas_bench_201 import NasBench201

DEFAULT = "predictor_guided"
SEEDS, BATCH = 30, 5
AT = (50, 150, 500)
QUANTILES = (0.25, 0.50, 0.75)
SIGNIFICANT = 0.05
NAS_BENCH_201 = NasBench201()


def problems() -> list[Problem]:
    """Nine limits on one set of cells."""
    bench = cells()
    features = partial(_features, bench.space)
    return [
        Problem(f"{d} {q:.0%}", bench.space, bench.codes, bench.accuracy, ms, float(np.quantile(ms, q)), features)
        for d, ms in ((device, bench.latency_ms[device]) for device in DEVICES)
        for q in QUANTILES
    ]


def _features(space: SearchSpace, codes: Codes) -> Floats:
    """Cells as the family sees them: without edges that nothing comes of, isomorphic ones alike, one-hot."""
    return encode(space, NAS_BENCH_201.representative(space, NAS_BENCH_201.working(space, codes)))


def measure(quick: bool, options: Asked) -> Outcome:
    """Median regrets over seeds."""
    at = AT[:1] if quick else AT
    given = problems()[: 3 if quick else None]
    seeds = options.seeds or (2 if quick else SEEDS)
    regrets = curves(given, options.strategies, queries=at[-1], batch=BATCH, seeds=seeds, state=options.state)
    if options.plot:
        draw(given, regrets, options.plot)
    chance = worse_than_random(regrets)
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {"seeds": float(seeds)}
    for name, own in regrets.items():
        medians = np.median(own[:, :, [queries - 1 for queries in at]], axis=1)
        for column, queries in enumerate(at):
            figures[f"{name}_mean_{queries}"] = float(medians[:, column].mean())
            figures[f"{name}_worst_{queries}"] = float(medians[:, column].max())
            shown = " ".join(f"{m:.2f}" for m in medians[:, column])
            rows.append((name, queries, shown, f"{medians[:, column].mean():.3f}", f"{medians[:, column].max():.3f}"))
        figures[f"{name}_chance_no_worse_than_random"] = chance[name]
    figures["worse_than_random"] = float(sum(c < SIGNIFICANT for c in chance.values()))
    bench = cells()
    for device in DEVICES[: 1 if quick else None]:
        volumes = hypervolumes(bench.space, bench.codes, bench.accuracy, bench.latency_ms[device], seeds=2 if quick else VOLUME_SEEDS)
        for name, shares in volumes.items():
            figures[f"{name}_hypervolume_{device}"] = float(np.median(shares))
            rows.append(
                (name, EVALUATIONS, f"hypervolume with {device}: {shares.min():.4f} to {shares.max():.4f}", f"{np.median(shares):.4f}", "")
            )
    targets = {"worse_than_random": Target("<=", 0)}
    if not quick:
        targets |= {"seeds": Target(">=", SEEDS)}
        targets |= {f"{DEFAULT}_mean_150": Target("<=", 0.06), f"{DEFAULT}_worst_150": Target("<=", 0.20)}
    columns = ("strategy", "queries", "median regret on each: " + ", ".join(p.name for p in given), "mean", "worst")
    return Outcome(columns, rows, figures, targets)


if __name__ == "__main__":
    own, others = asked("search.nb201", sys.argv[1:])
    sys.exit(main("search.nb201", lambda quick: measure(quick, own), others))
