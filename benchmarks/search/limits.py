"""What limits beside the budget cost and leave: the Note10 table with limits on parameters, multiply-accumulates and peak memory.

Seconds are CPU seconds: of the table before the search, and of a budget. *Gap* is how far the exact solver's subnets can be from the
optimum, where the accuracy is a sum: the linear model that fits OFA's predictor on a sample. *Gained* is what `linearised` finds over
`evolution` with as many predictions of OFA's own predictor, medians of three seeds. Data as in `search.note10`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._note10 import models
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats, Prediction
from hwnas.pipeline.limits import Asked, limits_of
from hwnas.search.front import find_front
from hwnas.search.limits import ratio
from hwnas.search.linear import LinearFit
from hwnas.search.preflight import preflight
from hwnas.search.solver import Models
from hwnas.space.moves import encode, sample_spread

BUDGETS_MS = (20.0, 30.0, 40.0)
CASES: dict[str, tuple[str, ...]] = {
    "params": ("params=6.5M",),
    "memory": ("peak_memory=4MB",),
    "all three": ("params=6.5M", "macs=300M", "peak_memory=4MB"),
}
TRIALS, SEEDS, SAMPLE = 20_000, 3, 2000


@dataclass(frozen=True)
class Linear:
    """An accuracy that is a sum over the choices, ``weights (p,)``."""

    space: SearchSpace
    weights: Floats
    intercept: float

    def fit(self, codes: Codes, y: Floats) -> Self:  # noqa: ARG002 (the protocol's names)
        return self

    def predict(self, codes: Codes) -> Prediction:
        return Prediction(encode(self.space, codes) @ self.weights + self.intercept, np.zeros(len(codes)))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {}, {"weights": self.weights}


def surrogate(of: Models) -> Linear:
    """The linear model of the accuracy on a sample."""
    codes = sample_spread(of.space, SAMPLE, np.random.default_rng(0))
    y = of.accuracy.predict(codes).mean
    weights = LinearFit.of(of.space, codes, y).weights
    return Linear(of.space, weights, float((y - encode(of.space, codes) @ weights).mean()))


def measure(quick: bool) -> Outcome:
    """Every case at every budget."""
    base = models()
    linear = surrogate(base)
    budgets_ms = BUDGETS_MS[1:2] if quick else BUDGETS_MS
    rows: list[tuple[object, ...]] = []
    figures = {
        "preflight_cpu_s": 0.0,
        "exact_gap_points": 0.0,
        "exact_cpu_s": 0.0,
        "least_gained_points": np.inf,
        "mean_gained_points": 0.0,
        "limits_missed": 0.0,
    }
    for name, texts in CASES.items():
        limits = limits_of(base.space, [Asked.parse(text) for text in texts], "fp32", _no_other)
        limited = replace(base, limits=limits)
        begin = time.process_time()
        before = preflight(limited, budgets_ms)
        preflight_s = time.process_time() - begin
        for budget_ms, share in zip(budgets_ms, before.together, strict=True):
            begin = time.process_time()
            exact = find_front(base.space, base.latency, linear, [budget_ms], strategy="exact", limits=limits)
            exact_s = time.process_time() - begin
            best = exact.best(budget_ms)
            figures["limits_missed"] += float(ratio(limits, best.codes)[0] > 1 or best.upper_ms[0] > budget_ms)
            found = {}
            for strategy in ("linearised", "evolution"):
                accuracies = []
                for seed in range(1 if quick else SEEDS):
                    settings: dict[str, Any] = {"strategy": strategy, "trials": TRIALS, "seed": seed}
                    best = find_front(base.space, base.latency, base.accuracy, [budget_ms], limits=limits, **settings).best(budget_ms)
                    figures["limits_missed"] += float(ratio(limits, best.codes)[0] > 1 or best.upper_ms[0] > budget_ms)
                    accuracies.append(100 * float(best.accuracy[0]))
                found[strategy] = float(np.median(accuracies))
            gap, gained = 100 * float(exact.bound or 0.0), found["linearised"] - found["evolution"]
            figures["preflight_cpu_s"] = max(figures["preflight_cpu_s"], preflight_s)
            figures["exact_gap_points"] = max(figures["exact_gap_points"], gap)
            figures["exact_cpu_s"] = max(figures["exact_cpu_s"], exact_s)
            figures["mean_gained_points"] += gained / (len(CASES) * len(budgets_ms))
            figures["least_gained_points"] = min(figures["least_gained_points"], gained)
            accuracy = f"{found['linearised']:.3f}"
            rows.append((name, budget_ms, f"{share:.2%}", f"{preflight_s:.2f}", accuracy, f"{gained:+.3f}", f"{gap:.4f}", f"{exact_s:.2f}"))
    targets = {
        "preflight_cpu_s": Target("<=", 1.0),
        "exact_gap_points": Target("<=", 0.05),
        "mean_gained_points": Target(">=", 0.0),
        "limits_missed": Target("<=", 0.0),
    }
    columns = ("limits", "budget ms", "feasible", "before, CPU s", "linearised %", "gained, points", "exact: gap, points", "exact, CPU s")
    return Outcome(columns, rows, figures, targets)


def _no_other(device: str, runtime: str) -> Any:
    raise ValueError(f"no case here is about {device}/{runtime}")


if __name__ == "__main__":
    sys.exit(main("search.limits", measure))
