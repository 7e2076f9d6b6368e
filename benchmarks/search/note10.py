"""The best predicted accuracy under seven budgets of the published Note10 table: the default solver against Once-for-All's evolution.

One core; ``OMP_NUM_THREADS=1`` is set before numpy is loaded. Every budget is solved by itself, its CPU seconds include everything but
reading the files. Beside it: the published algorithm (`reference_evolution`) when it is done and after as many CPU seconds as the solver
took, and the exact optimum of a sum fitted to the accuracy predictor, with what the predictor says of it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._note10 import BUDGETS_MS, models
from benchmarks.search.reference_evolution import evolve
from hwnas.core.predict import Floats
from hwnas.search.linear import LinearFit
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.structure import decompose
from hwnas.search.sums import solve_sums
from hwnas.space.moves import encode, sample_spread

SEEDS = 10
TRIALS = {"short": 12_500, "long": 200_000}
LIMIT_S = {"short": 0.5, "long": 10.0}
WANTED = {
    "short": (0.7865, 0.8070, 0.8205, 0.8290, 0.8400, 0.8485, 0.8525),
    "long": (0.7879, 0.8078, 0.8219, 0.8312, 0.8422, 0.8514, 0.8539),
}
BEST_KNOWN = (0.787999, 0.80789, 0.82200, 0.83133, 0.84230, 0.85151, 0.85397)


def solved(given: Models, budget_ms: float, trials: int, seeds: int) -> tuple[Floats, Floats]:
    """Accuracy and CPU seconds of every seed, ``(seeds,)`` each."""
    accuracy, cpu_s = [], []
    for seed in range(seeds):
        begin = time.process_time()
        front = SOLVERS.get("linearised")(seed=seed, trials=trials).solve(given, [budget_ms])
        cpu_s.append(time.process_time() - begin)
        best = front.best(budget_ms)
        if float(given.latency.predict(best.codes).mean[0]) > budget_ms:
            raise RuntimeError(f"the solver returned an architecture above {budget_ms} ms")
        accuracy.append(float(given.accuracy.predict(best.codes).mean[0]))
    return np.array(accuracy), np.array(cpu_s)


def surrogate(given: Models, budgets_ms: Sequence[float]) -> list[tuple[float, float]]:
    """For every budget: what the predictor says of the exact optimum of a fitted sum, and what that sum says of it."""
    space = given.space
    codes = sample_spread(space, 4000, np.random.default_rng(0))
    accuracy = given.accuracy.predict(codes).mean
    fit = LinearFit.of(space, codes, accuracy)
    offset = float(accuracy.mean() - (encode(space, codes) @ fit.weights).mean())
    sums = decompose(space, lambda c: np.stack([given.latency.upper(c), -(encode(space, c) @ fit.weights) - offset], axis=1))
    front, values = solve_sums(sums)
    at = [int(np.searchsorted(values[:, 0], budget_ms, side="right")) - 1 for budget_ms in budgets_ms]
    said = given.accuracy.predict(front[at]).mean
    return [(float(said[i]), float(-values[row, 1])) for i, row in enumerate(at)]


def measure(quick: bool) -> Outcome:
    """Medians over seeds, for the two lengths of a search."""
    given = models()
    seeds, lengths = (1, ("short",)) if quick else (SEEDS, ("short", "long"))
    sums = surrogate(given, BUDGETS_MS)
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    targets: dict[str, Target] = {}
    for i, budget_ms in enumerate(BUDGETS_MS):
        name = f"{budget_ms:g}ms"
        row: list[object] = [f"{budget_ms:g}"]
        reference = evolve(given, budget_ms, seed=0, generations=20 if quick else 500)
        for length in lengths:
            accuracy, cpu_s = solved(given, budget_ms, TRIALS[length], seeds)
            figures[f"{length}_{name}"], figures[f"{length}_{name}_cpu_s"] = float(np.median(accuracy)), float(np.median(cpu_s))
            targets[f"{length}_{name}"] = Target(">=", WANTED[length][i])
            targets[f"{length}_{name}_cpu_s"] = Target("<=", LIMIT_S[length])
            figures[f"{length}_{name}_best"] = float(accuracy.max())
            figures[f"reference_{length}_{name}"] = reference.at(float(np.median(cpu_s)))
            row += [f"{np.median(accuracy):.5f} ({accuracy.min():.5f} to {accuracy.max():.5f})", f"{np.median(cpu_s):.2f}"]
            row += [f"{figures[f'reference_{length}_{name}']:.5f}"]
        figures[f"reference_{name}"], figures[f"reference_{name}_cpu_s"] = float(reference.best[-1]), float(reference.cpu_s[-1])
        figures[f"surrogate_gap_{name}"] = figures[f"{lengths[-1]}_{name}"] - sums[i][0]
        row += [f"{reference.best[-1]:.5f} in {reference.cpu_s[-1]:.1f} s", f"{sums[i][0]:.5f} (its sum: {sums[i][1]:.5f})"]
        rows.append((*row, f"{BEST_KNOWN[i]:.5f}"))
    heads = [head for length in lengths for head in (f"{length}: median (range)", "CPU s", "reference then")]
    columns = ("budget ms", *heads, "reference, seed 0", "exact on a fitted sum", "best known")
    return Outcome(columns, rows, figures, targets)


if __name__ == "__main__":
    sys.exit(main("search.note10", measure))
