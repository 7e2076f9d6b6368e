"""The best architectures under every latency budget, from predictors, in one archive that all budgets share.

Budgets are searched from small to large. What is found for one budget competes for every other, so accuracy never falls when a budget
grows. Budgets are held against the upper bound of the latency, not its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import LatencyModel, Predictor
from hwnas.core.registry import require_known
from hwnas.search.archive import Archive, Front
from hwnas.search.feasible import begun, check_budgets
from hwnas.search.limits import Limit
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.strategy import STRATEGIES, Outcomes, StrategyFactory, Trials, search

_ELITE = 64


def find_front(
    space: SearchSpace,
    latency: LatencyModel,
    accuracy: Predictor,
    budgets_ms: Sequence[float],
    *,
    strategy: str = "evolution",
    trials: int = 10_000,
    batch: int = 256,
    seed: int = 0,
    limits: Sequence[Limit] = (),
    known: Codes | None = None,
    watch: Callable[[Archive], None] = lambda _: None,
) -> Front:
    """Search ``trials`` architectures for every budget by a strategy or a solver; the same seed gives the same front, bit for bit.

    ``limits`` hold beside every budget; ``known: (k, n_choices)`` are architectures to begin from, such as those of an earlier search.
    ``watch`` is called with all that was evaluated so far, after every batch of a strategy; solvers do not call it.
    Raises `UnknownNameError` for an unknown strategy and `InfeasibleError` for a budget that nothing fits, both before any search.
    """
    require_known("strategy", strategy, (*STRATEGIES, *SOLVERS))
    models = Models(space, latency, accuracy, tuple(limits), known)
    check_budgets(space, latency, budgets_ms)
    budgets = sorted({float(b) for b in budgets_ms})
    if strategy in SOLVERS:
        return SOLVERS.get(strategy)(seed=seed, trials=trials).solve(models, budgets)
    return _asked(STRATEGIES.get(strategy), models, budgets, trials=trials, batch=batch, seed=seed, watch=watch)


def _asked(
    make: StrategyFactory,
    models: Models,
    budgets: Sequence[float],
    *,
    trials: int,
    batch: int,
    seed: int,
    watch: Callable[[Archive], None],
) -> Front:
    """One run of a strategy a budget, each begun from the best that fit so far."""
    first = begun(models, budgets)
    archive = Archive(models.space, models.latency, models.accuracy, models.limits)
    archive.score(first)
    seeds = np.random.SeedSequence(seed).generate_state(len(budgets))
    for budget_ms, own_seed in zip(budgets, seeds, strict=True):

        def evaluate(asked: Trials, budget_ms: float = budget_ms) -> Outcomes:
            scored = archive.score(asked.codes)
            watch(archive)
            used = np.maximum(scored.upper_ms / budget_ms, scored.used)
            return Outcomes(-scored.accuracy[:, None], np.maximum(used - 1, 0.0))

        known = archive.all()
        elite = known.codes[known.fitting(budget_ms)[:_ELITE]]
        search(make(models.space, seed=int(own_seed), initial=elite), evaluate, trials=trials, batch=batch)
    return archive.front()
