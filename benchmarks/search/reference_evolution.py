"""Once-for-All's evolutionary search as its paper and published settings describe it, on the Note10 table: the figure to beat.

Cai et al. 2020 (arXiv 1908.09791): a population of 100, 500 generations, a quarter of it parents, half of the children mutants (each choice
drawn anew with probability 0.1), half crossed uniformly; whatever misses the budget is drawn again, and accuracies are predicted a
generation at a time. That is 50,100 predictions; here redrawing ends after a bounded number of tries.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._note10 import BUDGETS_MS, models
from hwnas.core.arch import Codes
from hwnas.core.errors import InfeasibleError
from hwnas.core.predict import Floats
from hwnas.search.solver import Models
from hwnas.space.moves import sample

POPULATION, GENERATIONS = 100, 500
PARENT_SHARE, MUTANT_SHARE, MUTATION = 0.25, 0.5, 0.1
_TRIES = 10_000


@dataclass(frozen=True, slots=True)
class Run:
    """The best accuracy after every generation, ``(generations + 1,)``, the CPU seconds at that time, and all predictions."""

    best: Floats
    cpu_s: Floats
    predictions: int

    def at(self, cpu_s: float) -> float:
        """The best accuracy after so many CPU seconds; 0 where none was there yet."""
        done = int(np.searchsorted(self.cpu_s, cpu_s, side="right"))
        return float(self.best[done - 1]) if done else 0.0


def evolve(given: Models, budget_ms: float, *, seed: int, generations: int = GENERATIONS) -> Run:
    """One search; ``seed`` decides it."""
    begin = time.process_time()
    rng = np.random.default_rng(seed)
    alive = _fitting(given, budget_ms, lambda n: sample(given.space, n, rng), POPULATION)
    accuracy = given.accuracy.predict(alive).mean
    predictions, best, cpu_s = POPULATION, [float(accuracy.max())], [time.process_time() - begin]
    parents, mutants = round(PARENT_SHARE * POPULATION), round(MUTANT_SHARE * POPULATION)
    for _ in range(generations):
        order = np.argsort(-accuracy, kind="stable")[:parents]
        alive, accuracy = alive[order], accuracy[order]
        mutated = _fitting(given, budget_ms, partial(_mutants, given, alive, rng), mutants)
        crossed = _fitting(given, budget_ms, partial(_crossed, given, alive, rng), POPULATION - mutants)
        children = np.concatenate([mutated, crossed])
        alive = np.concatenate([alive, children])
        accuracy = np.concatenate([accuracy, given.accuracy.predict(children).mean])
        predictions += len(children)
        best.append(float(accuracy.max()))
        cpu_s.append(time.process_time() - begin)
    return Run(np.maximum.accumulate(best), np.array(cpu_s), predictions)


def _fitting(given: Models, budget_ms: float, draw: Callable[[int], Codes], n: int) -> Codes:
    """``n`` draws within the budget, in the order in which they came."""
    parts: list[Codes] = []
    missing = n
    for _ in range(_TRIES):
        codes = draw(2 * missing + 8)
        parts.append(codes[given.latency.predict(codes).mean <= budget_ms][:missing])
        missing -= len(parts[-1])
        if not missing:
            return np.concatenate(parts)
    raise InfeasibleError(f"{given.latency.label}: nothing within {budget_ms:g} ms was drawn in {_TRIES} tries; raise the budget")


def _mutants(given: Models, parents: Codes, rng: np.random.Generator, n: int) -> Codes:
    chosen = parents[rng.integers(0, len(parents), n)]
    fresh = rng.integers(0, given.space.n_options, size=chosen.shape, dtype=np.int16)
    return given.space.canonical(np.where(rng.random(chosen.shape) < MUTATION, fresh, chosen).astype(np.int16))


def _crossed(given: Models, parents: Codes, rng: np.random.Generator, n: int) -> Codes:
    first, second = parents[rng.integers(0, len(parents), n)], parents[rng.integers(0, len(parents), n)]
    return given.space.canonical(np.where(rng.random(first.shape) < 0.5, first, second).astype(np.int16))


def measure(quick: bool) -> Outcome:
    """One run a budget, and how many predictions a second of CPU it makes."""
    given = models()
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    speeds = []
    for budget_ms in BUDGETS_MS[:2] if quick else BUDGETS_MS:
        run = evolve(given, budget_ms, seed=0, generations=50 if quick else GENERATIONS)
        speeds.append(run.predictions / float(run.cpu_s[-1]))
        figures[f"accuracy_{budget_ms:g}ms"] = float(run.best[-1])
        rows.append((f"{budget_ms:g}", f"{run.best[-1]:.5f}", run.predictions, f"{run.cpu_s[-1]:.2f}", f"{speeds[-1]:.0f}"))
    figures["predictions_per_s"] = min(speeds)
    columns = ("budget ms", "best predicted", "predictions", "CPU s", "predictions a CPU s")
    return Outcome(columns, rows, figures, {"predictions_per_s": Target(">=", 7800)})


if __name__ == "__main__":
    sys.exit(main("search.reference_evolution", measure))
