"""How many candidates a second one core handles in regularised evolution: propose, repair, predict latency and accuracy, select.

``ofa-w1.0`` at all its resolutions with predictors that are sums: the latency of blocks by their multiply-adds, and an accuracy of weights
of options. ``ofa-w1.2`` with the published Note10 table and the accuracy predictor of Once-for-All (a perceptron). Seconds are of CPU.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._note10 import models
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.latency.additive import AdditiveLatency
from hwnas.search.evolution import RegularizedEvolution
from hwnas.search.strategy import Outcomes, Trials, search
from hwnas.space.family import blockwise, find_space
from hwnas.space.moves import sample

POPULATION, BATCH = 4096, 4096
REPEATS = 3

Values = Callable[[Codes], Floats]


def per_second(space: SearchSpace, latency_ms: Values, accuracy: Values, trials: int, *, seed: int) -> tuple[float, float]:
    """Candidates a CPU second, and the best accuracy within the median latency of random architectures."""
    limit_ms = float(np.median(latency_ms(sample(space, 2000, np.random.default_rng(0)))))

    def judge(asked: Trials) -> Outcomes:
        return Outcomes(-accuracy(asked.codes)[:, None], np.maximum(latency_ms(asked.codes) / limit_ms - 1, 0.0))

    strategy = RegularizedEvolution(space, seed=seed, population=POPULATION)
    begin = time.process_time()
    history = search(strategy, judge, trials=trials, batch=BATCH)
    seconds = time.process_time() - begin
    return len(history) / seconds, -float(history.objectives[history.best(), 0])


def sums() -> tuple[SearchSpace, Values, Values]:
    """Additive models of ``ofa-w1.0``."""
    space = find_space("ofa-w1.0")
    words = blockwise(space).vocabulary(space)
    sizes = [(float(dict(b.params).get("mid", b.in_shape[0])), float(dict(b.params).get("k", 1)), b.in_shape) for b in words]
    times_ms = np.array([1e-7 * shape[1] ** 2 * mid * (shape[0] + k * k) for mid, k, shape in sizes])
    latency = AdditiveLatency(space, {}, "p50", "p50", 0.0, times_ms)
    rng = np.random.default_rng(0)
    tables = [np.sort(rng.uniform(0, 0.01, len(choice.options))) for choice in space.choices]
    weights, first = np.concatenate(tables), np.cumsum([0, *map(len, tables)])[:-1]

    def accuracy(codes: Codes) -> Floats:
        # a choice that is inactive counts as its first option
        total: Floats = weights[codes + first].sum(axis=1)
        return total

    return space, latency.sums_ms, accuracy


def measure(quick: bool) -> Outcome:
    """The median of some runs of each."""
    space, latency_ms, accuracy = sums()
    note10 = models()
    cases = {
        "additive": (space, latency_ms, accuracy, 1_000_000),
        "mlp": (note10.space, lambda codes: note10.latency.predict(codes).mean, lambda codes: note10.accuracy.predict(codes).mean, 200_000),
    }
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    for name, (own, ms, value, trials) in cases.items():
        trials = min(trials, 20_000) if quick else trials
        runs = [per_second(own, ms, value, trials, seed=s) for s in range(1 if quick else REPEATS)]
        figures[f"{name}_per_s"] = float(np.median([speed for speed, _ in runs]))
        rows.append((own.name, name, trials, f"{figures[f'{name}_per_s']:.0f}", f"{np.median([best for _, best in runs]):.4f}"))
    targets = {"additive_per_s": Target(">=", 200_000), "mlp_per_s": Target(">=", 40_000)}
    return Outcome(("space", "predictors", "candidates", "candidates a CPU s", "best accuracy"), rows, figures, targets)


if __name__ == "__main__":
    sys.exit(main("search.throughput", measure))
