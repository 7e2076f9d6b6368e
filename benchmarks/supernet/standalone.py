"""Is the largest subnet as good inside the supernet as the same architecture trained alone for as many images as it saw there?

Both are trained with the reference workspace's recipe and data; the largest subnet is in every step of the sandwich rule, so it sees as
many images in the supernet as it does alone. Means over seeds, with their spread, on the test part.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, Target, resumable_main
from benchmarks.supernet._alone import Trainings
from hwnas.space.family import family_of

SEEDS = 3


def measure(quick: bool, folder: Path) -> Outcome:
    """Train both for each seed; accuracies are in percent."""
    trainings = Trainings.of_workspace(folder, quick=quick)
    seeds = 1 if quick else SEEDS
    _, largest = family_of(trainings.space).extremes(trainings.space)
    rows: list[tuple[object, ...]] = []
    inside, by_itself = [], []
    for seed in range(seeds):
        shared = 100 * trainings.together([largest], seed)[largest.id]["test"]
        single = 100 * trainings.alone(trainings.subnet(largest), seed)["test"]
        inside.append(shared)
        by_itself.append(single)
        rows.append((seed, f"{shared:.2f}", f"{single:.2f}", f"{single - shared:+.2f}"))
    spread = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in (inside, by_itself)]
    gap = float(np.mean(by_itself) - np.mean(inside))
    rows.append(("mean", f"{np.mean(inside):.2f} ± {spread[0]:.2f}", f"{np.mean(by_itself):.2f} ± {spread[1]:.2f}", f"{gap:+.2f}"))
    figures = {
        "supernet_mean": float(np.mean(inside)),
        "supernet_std": spread[0],
        "alone_mean": float(np.mean(by_itself)),
        "alone_std": spread[1],
        "gap_points": gap,
        "seeds": float(seeds),
    }
    return Outcome(("seed", "in the supernet %", "alone %", "gap points"), rows, figures, {"gap_points": Target("<=", 1.0)})


if __name__ == "__main__":
    sys.exit(resumable_main("supernet.standalone", measure))
