"""Does the supernet rank architectures as training each of them alone does, and are its subnets as accurate?

20 architectures of the reference workspace's space (``tiny-32`` at its input sizes), one at random from each of 20 strata of a sample
that spreads over sizes, ordered by multiply-accumulates. Each is trained alone, as a plain net from its own random weights, with 3 seeds:
the same images, recipe and number of images as the largest subnet sees in the supernet. Beside it stand three supernets for each of three
recipes, at the same cost in images: ``sandwich`` puts every image through three subnets a step; ``single-path`` and progressive
``shrinking`` put it through one, and so have three times as many epochs, of which ``shrinking`` gives as many to the largest alone as
that has by itself (what its teacher says of images is not counted). Accuracies are of the validation and test parts together, which
nothing here is trained on.

The ceiling: two measurements that are repeated with other seeds can agree no better than the roots of their reliabilities multiply to
(Spearman 1904, doi:10.2307/1412159). A seed's reliability is the mean rank correlation of the architectures' accuracies between two seeds;
that of a mean over n seeds follows by the formula of Spearman and Brown (1910), ``n r / (1 + (n - 1) r)``. Means over seeds are compared
on both sides, so the ceiling is ``sqrt(R_supernet R_alone)``; ``…_of_alone_ceiling`` is the share of ``sqrt(R_alone)``, in which the
spread of supernets counts against them. All seeds are evaluated on the same images, so what those favour is in both sides and in no
ceiling. The targets are of the recipe that the workspace has.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, Target, resumable_main
from benchmarks.supernet._alone import PARTS, Trainings
from benchmarks.supernet._state import say
from hwnas.core.arch import Architecture, SearchSpace
from hwnas.core.predict import Floats
from hwnas.latency.agreement import kendall, spearman
from hwnas.latency.footprint import Footprint
from hwnas.space.family import family_of
from hwnas.space.moves import sample_spread, unique
from hwnas.supernet.recipe import SHRINKING_STEPS, TrainConfig

ARCHITECTURES, SEEDS = 20, 3
QUICK_ARCHITECTURES, QUICK_SEEDS = 3, 2
POOL = 4000
SHARE, GAP = 0.95, 1.0


@dataclass(frozen=True)
class Compared:
    """How accuracies of subnets ``(seeds, n)`` agree with those of the same architectures alone ``(seeds, n)``, in percent."""

    together: Floats
    alone: Floats

    @property
    def figures(self) -> dict[str, float]:
        """By name; correlations of means over seeds."""
        one, other = self.together.mean(axis=0), self.alone.mean(axis=0)
        found = spearman(one, other)
        own, others = reliability(self.together), reliability(self.alone)
        ceiling = float(np.sqrt(own * others))
        by_seed = [spearman(a, b) for a in self.together for b in self.alone]
        return {
            "spearman": found,
            "kendall": kendall(one, other),
            "ceiling": ceiling,
            "spearman_share": found / ceiling if ceiling > 0 else 0.0,
            "spearman_of_alone_ceiling": found / float(np.sqrt(others)) if others > 0 else 0.0,
            "spearman_seed_by_seed": float(np.mean(by_seed)),
            "reliability": own,
            "gap_points": float((other - one).mean()),
            "largest_gap_points": float(np.abs(other - one).max()),
        }


def reliability(accuracies: Floats) -> float:
    """Of the mean over seeds of ``(seeds, n)``, 0 to 1: how two seeds rank, by the formula of Spearman and Brown; at least two seeds."""
    pair = max(0.0, float(np.mean([spearman(a, b) for a, b in combinations(accuracies, 2)])))
    n = len(accuracies)
    return n * pair / (1 + (n - 1) * pair)


def stratified(space: SearchSpace, n: int, *, seed: int = 0) -> list[Architecture]:
    """``n`` architectures, one at random from each of as many equal parts of a pool that is ordered by multiply-accumulates."""
    rng = np.random.default_rng([seed, 11])
    pool = unique(np.concatenate([*(arch.codes for arch in family_of(space).extremes(space)), sample_spread(space, POOL, rng)]))
    order = np.argsort(Footprint(space).cost("macs", pool), kind="stable")
    return [space.architecture(pool[rng.choice(part)]) for part in np.array_split(order, n)]


def recipes(config: TrainConfig) -> Mapping[str, TrainConfig]:
    """Recipes that put as many images through subnets as the sandwich rule does with the workspace's ``config``."""
    each = 2 + config.random_subnets
    epochs = each * config.epochs
    plain = replace(config, random_subnets=1, teacher_epochs=0)
    return {
        "sandwich": replace(config, recipe="sandwich", teacher_epochs=0),
        "shrinking": replace(plain, recipe="shrinking", epochs=max(epochs, config.epochs + SHRINKING_STEPS), teacher_epochs=config.epochs),
        "single-path": replace(plain, recipe="single-path", epochs=epochs),
    }


def measure(quick: bool, folder: Path) -> Outcome:
    """Train what is missing in ``folder``, a seed after the other, and compare."""
    base = Trainings.of_workspace(folder, quick=quick)
    seeds = QUICK_SEEDS if quick else SEEDS
    archs = stratified(base.space, QUICK_ARCHITECTURES if quick else ARCHITECTURES)
    runs = {name: base.with_config(config) for name, config in recipes(base.config).items()}
    if not quick:
        say(_foreseen(base, runs, archs, seeds))
    found: dict[str, list[Floats]] = {name: [] for name in ("alone", *runs)}
    for seed in range(seeds):
        for name, run in runs.items():
            known = run.together(archs, seed)
            found[name].append(np.array([_share(base, known[arch.id]) for arch in archs]))
        found["alone"].append(np.array([_share(base, base.alone(base.subnet(arch), seed)) for arch in archs]))
    alone = np.array(found["alone"])
    compared = {name: Compared(np.array(found[name]), alone).figures for name in runs}
    own = base.config.recipe
    figures = {f"{name}_{key}": value for name, each in compared.items() for key, value in each.items()}
    figures |= {key: compared[own][key] for key in ("spearman_share", "gap_points")}
    figures |= {"alone_reliability": reliability(alone), "architectures": float(len(archs)), "seeds": float(seeds)}
    rows = [*_by_architecture(base, archs, found), *(_by_recipe(name, each) for name, each in compared.items())]
    columns = ("architecture, or recipe", "alone % (Spearman)", "sandwich % (Kendall)", "shrinking % (ceiling)", "single-path % (gap)")
    return Outcome(columns, rows, figures, {"spearman_share": Target(">=", SHARE), "gap_points": Target("<=", GAP)})


def _share(base: Trainings, by_part: Mapping[str, float]) -> float:
    """Percent of the images of all parts."""
    counts = [base.data.part(part).n for part in PARTS]
    return 100 * sum(n * by_part[part] for n, part in zip(counts, PARTS, strict=True)) / sum(counts)


def _foreseen(base: Trainings, runs: Mapping[str, Trainings], archs: Sequence[Architecture], seeds: int) -> str:
    nets = [base.subnet(arch) for arch in archs]
    missing = {net.name: sum(not base.has_alone(net, seed) for seed in range(seeds)) for net in nets}
    alone = sum(missing[net.name] * base.seconds_alone(net) for net in nets if missing[net.name])
    lacking = {name: sum(not run.has_supernet(seed) for seed in range(seeds)) for name, run in runs.items()}
    shared = sum(lacking[name] * run.seconds_together() for name, run in runs.items() if lacking[name])
    count = sum(missing.values()) + sum(lacking.values())
    return f"{count} trainings are to be done: about {(alone + shared) / 3600:.1f} hours of one core as fast as it is now"


def _by_architecture(base: Trainings, archs: Sequence[Architecture], found: Mapping[str, Sequence[Floats]]) -> list[tuple[object, ...]]:
    def shown(values: Sequence[Floats], i: int) -> str:
        one = [float(each[i]) for each in values]
        return f"{np.mean(one):.2f} ± {np.std(one, ddof=1):.2f}"

    return [(base.subnet(arch).name, *(shown(values, i) for values in found.values())) for i, arch in enumerate(archs)]


def _by_recipe(name: str, figures: Mapping[str, float]) -> tuple[object, ...]:
    share = f"{figures['ceiling']:.3f}, reached {100 * figures['spearman_share']:.1f} %"
    return (name, f"{figures['spearman']:.3f}", f"{figures['kendall']:.3f}", share, f"{figures['gap_points']:+.2f}")


if __name__ == "__main__":
    sys.exit(resumable_main("supernet.ranking", measure))
