"""Is the largest subnet as good inside the supernet as the same architecture trained alone for as many images as it saw there?

Both are trained with the reference workspace's recipe and data; the largest subnet is in every step of the sandwich rule, so it sees as
many images in the supernet as it does alone. Means over seeds, with their spread, on the test part.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import hwnas.supernet.mobilenet_v3  # noqa: F401  (registers its supernets)
from benchmarks.harness import Outcome, Target, main
from hwnas.data import Limits, load_dataset
from hwnas.pipeline.context import Context
from hwnas.space.family import family_of
from hwnas.supernet.accuracy import Subnets
from hwnas.supernet.curriculum import Alone, Curriculum, Sandwich
from hwnas.supernet.family import supernet_family
from hwnas.supernet.train import train
from hwnas.workspace import Workspace

SEEDS = 3
ROOT = Path(__file__).parents[2]


def measure(quick: bool) -> Outcome:
    """Train both for each seed; accuracies are in percent."""
    ctx = Context(Workspace.open(ROOT))
    config, seeds, data = ctx.config.train, SEEDS, ctx.dataset
    if quick:
        config, seeds = replace(config, epochs=1, warmup_epochs=0.2), 1
        data = load_dataset(ctx.config.data.source, root=ROOT, seed=0, cache=ctx.store.images, limits=Limits(train=1000, val=200, test=500))
    space = ctx.space
    _, largest = family_of(space).extremes(space)

    def accuracy(curriculum: Curriculum, seed: int) -> tuple[float, float]:
        begin = time.monotonic()
        net = supernet_family(space).build(space, seed=seed)
        train(net, curriculum, data, config, seed=seed)
        seconds = time.monotonic() - begin
        evaluated = Subnets(net, data, recalibration_images=ctx.config.accuracy.recalibration_images, torch_threads=config.threads)
        return 100 * evaluated.accuracy(largest, part="test"), seconds

    rows: list[tuple[object, ...]] = []
    inside, by_itself = [], []
    for seed in range(seeds):
        shared, shared_s = accuracy(Sandwich(space, config, seed), seed)
        single, single_s = accuracy(Alone(largest, config.epochs), seed)
        inside.append(shared)
        by_itself.append(single)
        rows.append((seed, f"{shared:.2f}", f"{single:.2f}", f"{single - shared:+.2f}", f"{shared_s:.0f}", f"{single_s:.0f}"))
    spread = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in (inside, by_itself)]
    gap = float(np.mean(by_itself) - np.mean(inside))
    rows.append(("mean", f"{np.mean(inside):.2f} ± {spread[0]:.2f}", f"{np.mean(by_itself):.2f} ± {spread[1]:.2f}", f"{gap:+.2f}", "", ""))
    figures = {
        "supernet_mean": float(np.mean(inside)),
        "supernet_std": spread[0],
        "alone_mean": float(np.mean(by_itself)),
        "alone_std": spread[1],
        "gap_points": gap,
        "seeds": float(seeds),
    }
    columns = ("seed", "in the supernet %", "alone %", "gap points", "supernet s", "alone s")
    return Outcome(columns, rows, figures, {"gap_points": Target("<=", 1.0)})


if __name__ == "__main__":
    sys.exit(main("supernet.standalone", measure))
