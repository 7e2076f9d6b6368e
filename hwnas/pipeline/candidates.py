"""Stage: which subnets to try for each goal: predictors choose a few, the supernet itself says how accurate those are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwnas.core.arch import Architecture
from hwnas.core.predict import LatencyModel, Predictor
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.accuracy import Trained
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Goal
from hwnas.search.archive import Front, Scored
from hwnas.search.front import find_front
from hwnas.search.limits import Limit

RETRIES = 5
SPACING = 0.04


@dataclass(frozen=True, slots=True)
class Pick:
    """A subnet to try: what was predicted of it, and its accuracy on the validation part as part of the supernet (shares).

    ``accuracy_expected`` joins the two. The best of several measured accuracies is the one with the luckiest error; the prediction, which
    many subnets bear, holds it down. ``trusted`` is False where the latency lies outside of what the device's table has measured.
    """

    arch: Architecture
    predicted_ms: float
    predicted_hi_ms: float
    accuracy_predicted: float
    accuracy_val: float
    accuracy_expected: float
    trusted: bool = True


def searched(ctx: Context, latency: LatencyModel, accuracy: Predictor, budgets_ms: Sequence[float], limits: Sequence[Limit] = ()) -> Front:
    """The front of the workspace's space under these budgets and within ``limits``, by the workspace's strategy."""
    config = ctx.config.search
    settings: dict[str, Any] = {"strategy": config.strategy, "trials": config.trials, "seed": ctx.config.seed}
    return find_front(ctx.space, latency, accuracy, budgets_ms, limits=limits, **settings)


def picked(ctx: Context, trained: Trained, latency: TrustedLatency, front: Front, goals: Sequence[Goal]) -> Mapping[Goal, list[Pick]]:
    """Candidates for each goal, best first. What is looked at for a smaller budget also stands for a larger one."""
    pool: dict[Architecture, Pick] = {}
    out: dict[Goal, list[Pick]] = {}
    shortlists = {goal: _shortlist(ctx, front, goal) for goal in goals}
    wanted = {row.tobytes(): ctx.space.architecture(row) for s in shortlists.values() for row in s.codes}
    with ctx.reporter.stage(f"evaluate candidates for {goals[0].name}", len(wanted)) as advance:
        trained.evaluate(wanted.values(), advance)
    for goal in sorted(goals, key=lambda g: g.budget_ms):
        for position, row in enumerate(shortlists[goal].codes):
            arch = ctx.space.architecture(row)
            if arch not in pool:
                own = _pick(ctx, trained, shortlists[goal], position, arch)
                pool[arch] = replace(own, trusted=not latency.outside(arch.codes)[0])
        out[goal] = order([p for p in pool.values() if p.predicted_hi_ms <= goal.budget_ms], goal.budget_ms)
    return out


def _shortlist(ctx: Context, front: Front, goal: Goal) -> Scored:
    """The best by prediction, and some that are clearly quicker, should the device be slower than predicted."""
    best = front.archive.fitting(goal.budget_ms)[: ctx.config.search.candidates]
    spare = front.candidates(goal.budget_ms, count=RETRIES, spacing=SPACING)
    top = front.archive.take(best)
    merged = {row.tobytes(): (scored, i) for scored in (top, spare) for i, row in reversed(list(enumerate(scored.codes)))}
    return Scored.joined([scored.take(np.array([i])) for scored, i in merged.values()])


def _pick(ctx: Context, trained: Trained, scored: Scored, position: int, arch: Architecture) -> Pick:
    predicted, measured = float(scored.accuracy[position]), trained.accuracy(arch)
    return Pick(
        arch=arch,
        predicted_ms=float(scored.latency_ms[position]),
        predicted_hi_ms=float(scored.upper_ms[position]),
        accuracy_predicted=predicted,
        accuracy_val=measured,
        accuracy_expected=expected(predicted, float(scored.accuracy_std[position]), measured, images=ctx.dataset.part("val").n),
    )


def expected(predicted: float, predicted_std: float, measured: float, *, images: int) -> float:
    """The mean of both accuracies, weighted by their precisions; that of the measured one is binomial.

    The predictor's standard deviation holds the error of the measurements that it was fitted to, which is taken off.
    """
    noise = max(measured * (1 - measured), 1e-4) / images
    own = max(predicted_std**2 - noise, 0.1 * noise)
    return (predicted * noise + measured * own) / (noise + own)


def order(picks: Sequence[Pick], budget_ms: float) -> list[Pick]:
    """The most accurate first; each next one the most accurate of those that are predicted to be clearly quicker than the one before.

    What is not clearly quicker than a miss would miss as well.
    """
    left = sorted(picks, key=lambda p: (-p.accuracy_expected, p.predicted_hi_ms, p.arch.id))
    out: list[Pick] = []
    limit_ms = budget_ms
    while len(out) < RETRIES and (fits := [p for p in left if p.predicted_hi_ms <= limit_ms]):
        out.append(fits[0])
        limit_ms = fits[0].predicted_hi_ms * (1 - SPACING)
    return out
