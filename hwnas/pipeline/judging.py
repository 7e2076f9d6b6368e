"""``hwnas accuracy fit`` and ``eval``: an accuracy predictor anew, and how good the stored one is on subnets that it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import UsageError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.agreement import kendall, spearman
from hwnas.pipeline.accuracy import Trained, accuracy_model, subnets_to_evaluate
from hwnas.pipeline.context import Context
from hwnas.pipeline.searching import ACCURACY
from hwnas.space.moves import sample, unique
from hwnas.supernet.predictor import load_accuracy

MIN_HELD_OUT = 10
_HELD_OUT = 5  # keeps these random numbers apart from those that chose what to fit to


def fit(ctx: Context, *, predictor: str | None, subnets: int | None) -> dict[str, Any]:
    """Evaluate what is lacking, fit and store; says what was fitted and how far off it is on subnets left out in turn, in points."""
    trained = Trained.load(ctx)
    model = accuracy_model(ctx, trained, predictor=predictor, subnets=subnets)
    if model.fitted is None:
        raise TypeError("a predictor that was fitted has no fit")
    return {
        "file": str(ctx.store.predictors / ACCURACY),
        "space": ctx.space.name,
        "predictor": predictor or ctx.config.accuracy.predictor,
        "subnets": model.fitted.subnets,
        "rmse_left_out_points": 100 * model.fitted.residual_std,
    }


def evaluate(ctx: Context, *, subnets: int) -> dict[str, Any]:
    """Ranks and errors of the stored predictor on ``subnets`` random ones, evaluated on the validation part."""
    if subnets < MIN_HELD_OUT:
        raise UsageError(f"{subnets} subnets say little of a predictor; take at least {MIN_HELD_OUT}")
    trained = Trained.load(ctx)
    stored = load_accuracy(ctx.store.predictors / ACCURACY, ctx.space)
    codes = held_out(ctx, subnets)
    archs = [ctx.space.architecture(row) for row in codes]
    with ctx.reporter.stage("evaluate subnets that were not seen", len(archs)) as advance:
        trained.evaluate(archs, advance)
    measured = np.array([trained.accuracy(arch) for arch in archs])
    return {"space": ctx.space.name, "kind": stored.kind, **figures(stored.predict(codes), measured)}


def held_out(ctx: Context, n: int) -> Codes:
    """``n`` uniformly random subnets, or all there are, none of which is among those that a predictor is fitted to as configured."""
    fitted = {row.tobytes() for row in subnets_to_evaluate(ctx)}
    drawn = unique(sample(ctx.space, 2 * n + len(fitted), np.random.default_rng([ctx.config.seed, _HELD_OUT])))
    return drawn[[row.tobytes() not in fitted for row in drawn]][:n]


def figures(predicted: Prediction, measured: Floats) -> dict[str, float]:
    """How predictions agree with measured accuracies (shares); errors are in points, ``coverage_95`` is of intervals of two sides."""
    off = predicted.mean - measured
    return {
        "subnets": float(len(measured)),
        "spearman": spearman(predicted.mean, measured),
        "kendall": kendall(predicted.mean, measured),
        "rmse_points": 100 * float(np.sqrt(np.mean(off**2))),
        "bias_points": 100 * float(off.mean()),
        "worst_points": 100 * float(np.abs(off).max()),
        "spread_points": 100 * float(measured.std()),
        "coverage_95": float(np.mean(np.abs(off) <= 1.96 * predicted.std)),
    }
