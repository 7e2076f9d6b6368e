"""How well is the accuracy of subnets predicted that were not evaluated: ranks, errors, intervals; and how well could it be?

The reference workspace's supernet is trained as `hwnas train` does; 300 subnets are evaluated on the validation part for the fit, and
others are held out: 200 uniformly random ones, and 200 that spread over sizes. Every kind of predictor is fitted to subnets that were
chosen in three ways: uniformly, spread over sizes, and for information; with what their losses say of their accuracies, as
`hwnas accuracy fit` does, and the default of ``hwnas.toml`` without it, too. The figures to be met are those of the default.

Held-out accuracies are of the validation and test parts together, so that counting is off by less; predictors know nothing of the test
part. What even the truth could not rank better: an accuracy counted on n images has the reliability ``n / (n + c)``, and two counts on
different images correlate by the root of the product of their reliabilities (Spearman 1904, doi:10.2307/1412159). The correlation of
the two parts gives ``c``; the ceiling is the root of the reliability of both parts together. Recalibration is the same for both, so that
what it adds counts as truth.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, Target, resumable_main
from benchmarks.supernet._alone import PARTS, ROOT, Trainings
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.latency.agreement import spearman
from hwnas.pipeline.judging import figures as agreement
from hwnas.pipeline.selection import informative, spread
from hwnas.space.moves import sample, sample_spread, unique
from hwnas.supernet.predictor import FITTED, FittedAccuracy, fit_scores, new_accuracy
from hwnas.workspace import Workspace

FIT, HELD_OUT = 300, 200
QUICK_FIT, QUICK_HELD_OUT = 24, 12
SEED = 0
SELECTIONS: dict[str, Callable[[SearchSpace, int], Codes]] = {
    "uniform": lambda space, n: unique(sample(space, 2 * n, np.random.default_rng([SEED, 1])))[:n],
    "spread": lambda space, n: spread(space, n, seed=SEED),
    "informative": lambda space, n: informative(space, n, seed=SEED),
}
SHOWN = ("spearman", "rmse_points", "coverage_95")
Row = tuple[object, ...]


class HeldOut:
    """Subnets that nothing is fitted to, their accuracies on both parts, and how well these could be ranked."""

    def __init__(self, trainings: Trainings, codes: Codes) -> None:
        archs = [trainings.space.architecture(row) for row in codes]
        counts = [trainings.data.part(part).n for part in PARTS]
        by_part = [np.array([score.accuracy for score in trainings.scores(archs, SEED, part=part)]) for part in PARTS]
        self.codes = codes
        self.accuracy: Floats = np.average(by_part, axis=0, weights=counts)
        self.ceiling = float(np.sqrt(reliability(spearman(*by_part), *counts)))

    def judge(self, model: FittedAccuracy) -> dict[str, float]:
        """How a predictor agrees."""
        return agreement(model.predict(self.codes), self.accuracy)


def reliability(correlation: float, one: int, other: int) -> float:
    """Of an accuracy that is counted on ``one + other`` images, from the correlation of those counted on ``one`` and on ``other``."""
    if correlation <= 0:
        return 0.0
    both, product = one + other, one * other
    c = (-both + math.sqrt(both**2 + 4 * product * (1 / min(correlation, 1.0) ** 2 - 1))) / 2
    return both / (both + c)


def measure(quick: bool, folder: Path) -> Outcome:
    """Errors are in points of top-1 accuracy."""
    trainings = Trainings.of_workspace(folder, quick=quick)
    default, space = Workspace.open(ROOT).config.accuracy, trainings.space
    wanted, held = (QUICK_FIT, QUICK_HELD_OUT) if quick else (FIT, HELD_OUT)
    fitted = {name: chosen(space, wanted) for name, chosen in SELECTIONS.items()}
    truths = {name: HeldOut(trainings, codes) for name, codes in _held_out(space, held, list(fitted.values())).items()}
    figures: dict[str, float] = {"subnets": float(wanted), "held_out": float(held)}
    for name, truth in truths.items():
        figures |= {f"{name}_ceiling": truth.ceiling, f"{name}_spread_points": 100 * float(truth.accuracy.std())}
    rows: list[Row] = [("ceiling", "", *(f"{truth.ceiling:.3f}" for truth in truths.values()), "", "")]
    for how, codes in fitted.items():
        scores = trainings.scores([space.architecture(row) for row in codes], SEED, part="val")
        counted, losses = np.array([score.accuracy for score in scores]), np.array([score.loss for score in scores])
        for name in FITTED:
            new = new_accuracy(name, space, seed=SEED)
            model = fit_scores(new, codes, counted, losses, images=trainings.data.part("val").n)
            found = {key: truth.judge(model) for key, truth in truths.items()}
            own = (name, how) == (default.predictor, default.selection)
            rows.append(_row(name, how + " (default)" * own, found))
            figures |= {f"{name}_{how}_{key}_{kind}": each[kind] for key, each in found.items() for kind in SHOWN}
            if own:
                figures |= {f"{key}_{kind}": value for key, each in found.items() for kind, value in each.items() if kind != "subnets"}
                bare = new.fit(codes, counted)
                alone = {key: truth.judge(bare) for key, truth in truths.items()}
                rows.append(_row(name, f"{how}, accuracies alone", alone))
                figures |= {f"accuracies_alone_{key}_{kind}": each[kind] for key, each in alone.items() for kind in SHOWN}
    for key, truth in truths.items():
        figures[f"{key}_share_of_ceiling"] = figures[f"{key}_spearman"] / truth.ceiling if truth.ceiling > 0 else 0.0
    columns = ("predictor", "fitted to", "Spearman, uniform", "Spearman, spread", "RMSE points", "inside 95 % interval")
    targets = {f"{key}_spearman": Target(">=", 0.95) for key in truths} | {f"{key}_rmse_points": Target("<=", 0.5) for key in truths}
    return Outcome(columns, rows, figures, targets)


def _held_out(space: SearchSpace, n: int, fitted: Sequence[Codes]) -> dict[str, Codes]:
    """Of each kind ``n``, none of which anything is fitted to."""
    seen = {row.tobytes() for codes in fitted for row in codes}
    drawn = {"uniform": sample(space, 4 * n, np.random.default_rng([SEED, 5]))}
    drawn["spread"] = sample_spread(space, 4 * n, np.random.default_rng([SEED, 6]))
    out = {}
    for name, codes in drawn.items():
        out[name] = np.array([row for row in unique(codes) if row.tobytes() not in seen][:n], dtype=np.int16)
        seen |= {row.tobytes() for row in out[name]}
    return out


def _row(name: str, fitted_to: str, found: Mapping[str, Mapping[str, float]]) -> Row:
    spearmans = (f"{each['spearman']:.3f}" for each in found.values())
    errors = " and ".join(f"{each['rmse_points']:.2f}" for each in found.values())
    inside = " and ".join(f"{100 * each['coverage_95']:.1f}" for each in found.values())
    return (name, fitted_to, *spearmans, errors, inside)


if __name__ == "__main__":
    sys.exit(resumable_main("supernet.accuracy_predictor", measure))
