"""``hwnas explain``: why a subnet, by the stored predictors: what its choices bring and cost, whom it beat, and how the front goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.core.serial import plain
from hwnas.pipeline.searching import Problem, Question, posed
from hwnas.pipeline.subnets import find_architecture
from hwnas.search.archive import Front
from hwnas.search.effects import OUTCOMES, effects, worths
from hwnas.search.feasible import begun
from hwnas.search.front import find_front
from hwnas.search.limits import ratio
from hwnas.space.family import family_of
from hwnas.workspace import Workspace

STEPS = 8
"""Budgets at which the front is shown."""
_TRIALS = 4000


def explain(workspace: Workspace, text: str, question: Question) -> dict[str, Any]:
    """Why the subnet ``text``: effects of its choices, its neighbours under a budget, and the front's choices, as plain values.

    The budget is the first of ``question``; without one, the subnet's own latency bound.
    """
    problem = posed(workspace, question)
    models = problem.models
    space = models.space
    arch = find_architecture(space, workspace.store.root, text)
    upper_ms = float(models.latency.upper(arch.codes)[0])
    budget_ms = problem.budgets_ms[0] if problem.budgets_ms else upper_ms
    accuracy = models.accuracy.predict(arch.codes)
    found = effects(models, arch, budget_ms)
    return {
        "arch": arch.id,
        "space": space.name,
        "summary": family_of(space).describe(space, arch),
        "choices": space.values(arch.indices),
        **problem.latency.context,
        "statistic": question.statistic,
        "budget_ms": budget_ms,
        "fits": bool(upper_ms <= budget_ms and ratio(models.limits, arch.codes)[0] <= 1),
        "accuracy": float(accuracy.mean[0]),
        "accuracy_std": float(accuracy.std[0]),
        "predicted_ms": float(models.latency.predict(arch.codes).mean[0]),
        "predicted_hi_ms": upper_ms,
        "limited": {limit.resource.name: float(limit.resource.cost(arch.codes)[0]) for limit in models.limits},
        "neighbours": {outcome: sum(effect.outcome == outcome for effect in found) for outcome in OUTCOMES},
        "worths": plain(worths(found)),
        "effects": plain(found),
        "front": along(problem),
    }


def along(problem: Problem) -> list[dict[str, Any]]:
    """The best subnet under budgets from the smallest feasible to that of the slowest on the front, with its choices."""
    models = problem.models
    low = float(models.latency.upper(begun(models, [np.finfo(np.float64).max])[:1])[0])
    high = float(models.latency.upper(family_of(models.space).extremes(models.space)[1].codes)[0])
    budgets_ms = np.linspace(low, max(low, high), STEPS)
    front = _front(problem, budgets_ms)
    rows = []
    for budget_ms in budgets_ms:
        best = front.best(float(budget_ms))
        arch = models.space.architecture(best.codes[0])
        rows.append(
            {
                "budget_ms": float(budget_ms),
                "arch": arch.id,
                "accuracy": float(best.accuracy[0]),
                "predicted_hi_ms": float(best.upper_ms[0]),
                "choices": models.space.values(arch.indices),
            }
        )
    return rows


def _front(problem: Problem, budgets_ms: Floats) -> Front:
    """Exactly where the models are sums, else by a short search for each budget."""
    models = replace(problem.models, known=None)
    settings: dict[str, Any] = {"limits": models.limits, "seed": problem.seed, "trials": min(problem.trials, _TRIALS)}
    asked = (models.space, models.latency, models.accuracy, budgets_ms.tolist())
    try:
        return find_front(*asked, strategy="exact", **settings)
    except PredictorError:
        return find_front(*asked, strategy="linearised", **settings)
