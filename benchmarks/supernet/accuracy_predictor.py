"""How well is the accuracy of subnets predicted that were not evaluated: ranks, errors, and intervals.

The reference workspace's supernet is trained as `hwnas train` does; 300 subnets are evaluated on the validation part for the fit, and 200
others, uniformly random, are held out. Every kind of predictor is fitted to subnets that were chosen in three ways: uniformly, spread over
sizes, and for information; the figures to be met are those of the default of ``hwnas.toml`` with what `hwnas accuracy fit` evaluates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from benchmarks.harness import Outcome, Target, main
from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.data import Dataset, Limits, load_dataset
from hwnas.pipeline.context import Context
from hwnas.pipeline.judging import figures as agreement
from hwnas.pipeline.selection import informative, spread
from hwnas.space.moves import sample, unique
from hwnas.supernet.accuracy import Subnets
from hwnas.supernet.curriculum import curriculum_of
from hwnas.supernet.family import supernet_family
from hwnas.supernet.predictor import FITTED, new_accuracy
from hwnas.supernet.recipe import TrainConfig
from hwnas.supernet.train import train
from hwnas.workspace import Workspace

ROOT = Path(__file__).parents[2]
FIT, HELD_OUT = 300, 200
SEED = 0
SELECTIONS: dict[str, Callable[[SearchSpace, int], Codes]] = {
    "uniform": lambda space, n: unique(sample(space, 2 * n, np.random.default_rng([SEED, 1])))[:n],
    "spread": lambda space, n: spread(space, n, seed=SEED),
    "informative": lambda space, n: informative(space, n, seed=SEED),
}


def measure(quick: bool) -> Outcome:
    """Errors are in points of top-1 accuracy on the validation part."""
    ctx = Context(Workspace.open(ROOT))
    config, data, sizes = ctx.config.train, ctx.dataset, (FIT, HELD_OUT)
    if quick:
        config, sizes = replace(config, epochs=1, warmup_epochs=0.2), (60, 30)
        data = load_dataset(ctx.config.data.source, root=ROOT, seed=0, cache=ctx.store.images, limits=Limits(train=2000, val=300, test=50))
    space = ctx.space
    picked = {name: chosen(space, sizes[0]) for name, chosen in SELECTIONS.items()}
    seen = {row.tobytes() for codes in picked.values() for row in codes}
    drawn = unique(sample(space, 2 * sum(sizes), np.random.default_rng([SEED, 5])))
    held_out = drawn[[row.tobytes() not in seen for row in drawn]][: sizes[1]]
    accuracy = _evaluated(space, data, config, ctx.config.accuracy.recalibration_images, [held_out, *picked.values()])
    truth = accuracy(held_out)
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {"subnets": float(sizes[0]), "held_out": float(len(held_out)), "spread_points": 100 * float(truth.std())}
    for name in FITTED:
        for how, codes in picked.items():
            model = new_accuracy(name, space, seed=SEED).fit(codes, accuracy(codes))
            found = agreement(model.predict(held_out), truth)
            default = name == ctx.config.accuracy.predictor and how == ctx.config.accuracy.selection
            rows.append(
                (
                    name,
                    how + (" (default)" if default else ""),
                    f"{found['spearman']:.4f}",
                    f"{found['kendall']:.4f}",
                    f"{found['rmse_points']:.3f}",
                    f"{found['worst_points']:.2f}",
                    f"{100 * found['coverage_95']:.1f}",
                )
            )
            figures |= {f"{name}_{how}_{key}": found[key] for key in ("spearman", "rmse_points", "coverage_95")}
            if default:
                figures |= {key: found[key] for key in ("spearman", "kendall", "rmse_points", "worst_points", "coverage_95")}
    columns = ("predictor", "fitted to", "Spearman", "Kendall", "RMSE points", "worst points", "inside 95 % interval")
    return Outcome(columns, rows, figures, {"spearman": Target(">=", 0.95), "rmse_points": Target("<=", 0.5)})


def _evaluated(
    space: SearchSpace, data: Dataset, config: TrainConfig, recalibration_images: int, wanted: list[Codes]
) -> Callable[[Codes], Floats]:
    """Train the supernet and evaluate all of ``wanted``; gives accuracies by code, shares."""
    net = supernet_family(space).build(space, seed=SEED)
    train(net, curriculum_of(space, config, seed=SEED), data, config, seed=SEED)
    subnets = Subnets(net, data, recalibration_images=recalibration_images, torch_threads=config.threads)
    archs = [space.architecture(row) for row in unique(np.concatenate(wanted))]
    known = dict(subnets.accuracies(archs, part="val"))
    return lambda codes: np.array([known[space.architecture(row)] for row in codes])


if __name__ == "__main__":
    sys.exit(main("supernet.accuracy_predictor", measure))
