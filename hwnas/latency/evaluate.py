"""How good is a predictor on networks that it has not seen? Folds of the measured ones, held out in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats, Prediction, Predictor
from hwnas.latency.agreement import Agreement, agreement
from hwnas.latency.conformal import Intervals

LEVELS = (0.90, 0.95)
FOLDS = 10
MIN_NETWORKS = 20


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of one nominal level: the share of networks inside, and the mean width relative to the prediction."""

    share: float
    width: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions of networks by fits that did not see them. ``coverage`` lacks levels for which there are too few networks."""

    predicted: Prediction
    measured_ms: Floats
    agreement: Agreement
    coverage: Mapping[float, Coverage]


def evaluate(predictor: Predictor, codes: Codes, measured_ms: Floats, *, seed: int = 0) -> Evaluation:
    """From ``n >= 20`` measured networks; the intervals of a fold are by the scores of the others."""
    measured = np.asarray(measured_ms, dtype=np.float64)
    if len(measured) < MIN_NETWORKS:
        raise PredictorError(f"{len(measured)} measured networks; an evaluation holds some out and needs at least {MIN_NETWORKS}")
    order = np.random.default_rng(seed).permutation(len(measured))
    mean, std, fold_of = np.empty(len(measured)), np.empty(len(measured)), np.empty(len(measured), dtype=np.intp)
    for number, fold in enumerate(np.array_split(order, FOLDS)):
        rest = np.setdiff1d(order, fold)
        found = predictor.fit(codes[rest], measured[rest]).predict(codes[fold])
        mean[fold], std[fold], fold_of[fold] = found.mean, found.std, number
    predicted = Prediction(mean, std)
    coverage = {}
    for level in LEVELS:
        if len(measured) * (1 - 1 / FOLDS) + 1 > 1 / (1 - level):
            coverage[level] = _coverage(predicted, measured, fold_of, level)
    return Evaluation(predicted, measured, agreement(mean, measured), coverage)


def _coverage(predicted: Prediction, measured: Floats, fold_of: np.ndarray[tuple[int], np.dtype[np.intp]], level: float) -> Coverage:
    inside, width = np.empty(len(measured)), np.empty(len(measured))
    for number in range(FOLDS):
        own = fold_of == number
        intervals = Intervals.from_held_out(Prediction(predicted.mean[~own], predicted.std[~own]), measured[~own])
        low, high = intervals.bounds(Prediction(predicted.mean[own], predicted.std[own]), level)
        inside[own] = (low <= measured[own]) & (measured[own] <= high)
        width[own] = (high - low) / predicted.mean[own]
    return Coverage(float(inside.mean()), float(width.mean()))
