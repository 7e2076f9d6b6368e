"""Do intervals hold what they say, and are they as narrow as they can be?

Split-conformal intervals of 90 and 95 % with 100 calibration networks on four published sets, 20 draws each; and intervals for a new device
that was measured ten times, whose residuals are borrowed from the other devices. Beside the coverage: the mean width relative to the
prediction, and how many times as wide that is as the narrowest interval around the same predictions that would cover as many of the test
networks, for one who knows their residuals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Outcome, Target, main
from benchmarks.latency._reference import Published, fbnet, hat, nas_bench_201, ofa_gpus, physical
from benchmarks.latency.published import CANDIDATES, SAMPLES, sources_of
from hwnas.core.arch import Codes
from hwnas.core.predict import Floats, Prediction, Predictor
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.conformal import Intervals
from hwnas.latency.gaussian import GaussianLatency
from hwnas.latency.transfer import DevicePrior, TransferLatency
from hwnas.space.family import Cellwise, family_of

LEVELS = (0.90, 0.95)
SEEDS, FITS, CALIBRATION, TRAINING = 20, 2, 100, 100
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What an interval did on test networks: the share covered, its mean relative width, and that to the narrowest one."""

    covered: float
    width: float
    ratio: float


def held(intervals: Intervals, prediction: Prediction, measured: Floats, level: float) -> Held:
    """Of ``n`` test networks."""
    low, high = intervals.bounds(prediction, level)
    covered = float(np.mean((low <= measured) & (measured <= high)))
    width = float(np.mean((high - low) / prediction.mean))
    ordered = np.sort(measured / prediction.mean)
    inside = max(round(covered * len(ordered)), 2)
    narrowest = float(np.min(ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]))
    return Held(covered, width, width / narrowest)


def split(prediction: Prediction, measured: Floats, rng: np.random.Generator) -> Iterator[tuple[float, Held]]:
    """One draw of calibration networks; the rest tests."""
    order = rng.permutation(len(measured))
    ours, rest = order[:CALIBRATION], order[CALIBRATION:]
    intervals = Intervals.from_held_out(_at(prediction, ours), measured[ours])
    for level in LEVELS:
        yield level, held(intervals, _at(prediction, rest), measured[rest], level)


def drawn(codes: Codes, times: Floats, make: Callable[[], Predictor], seeds: int) -> dict[float, list[Held]]:
    """A predictor of ``TRAINING`` drawn networks, its intervals by those of other draws."""
    out: dict[float, list[Held]] = {level: [] for level in LEVELS}
    for fit in range(min(FITS, seeds)):
        rng = np.random.default_rng(fit)
        own = rng.choice(len(times), TRAINING, replace=False)
        rest = np.setdiff1d(np.arange(len(times)), own)
        prediction = make().fit(codes[own], times[own]).predict(codes[rest])
        for _ in range(max(seeds // FITS, 1)):
            for level, each in split(prediction, times[rest], rng):
                out[level].append(each)
    return out


def cells(seeds: int) -> tuple[list[dict[float, list[Held]]], list[dict[float, list[Held]]]]:
    """NAS-Bench-201 after ten measurements: intervals by 100 held-out cells, and borrowed; by column."""
    data = nas_bench_201()
    family = family_of(data.space)
    assert isinstance(family, Cellwise)
    offered = np.flatnonzero(family.connected(data.space, data.codes))
    sources = sources_of(data, allowed=offered)
    prior = DevicePrior.learn(data.space, sources)
    own_all, borrowed_all = [], []
    for column, times in data.columns.items():
        device = physical(column)
        rest = prior.without(device)
        borrowed = Intervals.from_other_devices(rest, [s for s in sources if s.device != device], count=SAMPLES)
        own: dict[float, list[Held]] = {level: [] for level in LEVELS}
        lent: dict[float, list[Held]] = {level: [] for level in LEVELS}
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            candidates = rng.choice(offered, CANDIDATES, replace=False)
            chosen = candidates[rest.choose(data.codes[candidates], SAMPLES)]
            fitted = TransferLatency(data.space, column, rest).fit(data.codes[chosen], times[chosen])
            scored = np.setdiff1d(data.scored(column), chosen)
            prediction = fitted.predict(data.codes[scored])
            for level, each in split(prediction, times[scored], rng):
                own[level].append(each)
            for level in LEVELS:
                lent[level].append(held(borrowed, prediction, times[scored], level))
        own_all.append(own)
        borrowed_all.append(lent)
    return own_all, borrowed_all


def _at(prediction: Prediction, rows: NDArray[np.intp]) -> Prediction:
    return Prediction(prediction.mean[rows], prediction.std[rows])


def _columns(data: Published) -> Iterator[tuple[Codes, Floats]]:
    """Every column's networks; those with the same features are one, their mean."""
    for times in data.columns.values():
        own = np.flatnonzero(np.isfinite(times))
        codes, which = np.unique(data.codes[own], axis=0, return_inverse=True)
        yield codes, np.bincount(which, times[own]) / np.bincount(which)


def measure(quick: bool) -> Outcome:
    """All sets; every figure is a mean over columns of means over draws."""
    seeds, few = (2, 2) if quick else (SEEDS, None)
    own, borrowed = cells(seeds)
    chains, gpus, transformers = fbnet(), ofa_gpus(), hat()
    sets = {
        "nb201": own,
        "fbnet": [drawn(*c, lambda: CalibratedLatency(chains.space, {}), seeds) for c in _columns(chains)],
        "ofa": [drawn(*c, lambda: CalibratedLatency(gpus.space, {}), seeds) for c in _columns(gpus)],
        "hat": [drawn(*c, lambda: GaussianLatency(transformers.space), seeds) for c in islice(_columns(transformers), few)],
        "borrowed": borrowed,
    }
    rows: list[Row] = []
    figures: dict[str, float] = {}
    targets: dict[str, Target] = {}
    for name, columns in sets.items():
        for level in LEVELS:
            means = np.array([np.mean([astuple(each) for each in column[level]], axis=0) for column in columns])
            covered, width, ratio = means.mean(axis=0)
            key = f"{name}_{level:.0%}".replace("%", "")
            figures |= {f"{key}_covered_percent": 100 * covered, f"{key}_width_percent": 100 * width, f"{key}_to_narrowest": ratio}
            rows.append((name, f"{level:.0%}", f"{covered:.1%}", f"{means[:, 0].min():.1%}", f"{width:.1%}", f"{ratio:.2f}"))
            targets |= _targets(key, level, borrowed=name == "borrowed")
    # one figure cannot be held from both sides under one name
    figures |= {f"{key}_at_most": value for key, value in figures.items() if key.endswith("_covered_percent") and "borrowed" not in key}
    return Outcome(("set", "nominal", "covered", "worst column", "mean width", "to the narrowest"), rows, figures, targets)


def _targets(key: str, level: float, *, borrowed: bool) -> dict[str, Target]:
    if borrowed:
        own = {f"{key}_covered_percent": Target(">=", 88)} if level == LEVELS[0] else {}
    else:
        low, high = (88.5, 93) if level == LEVELS[0] else (93.5, 97.5)
        own = {f"{key}_covered_percent": Target(">=", low), f"{key}_covered_percent_at_most": Target("<=", high)}
    return {**own, f"{key}_to_narrowest": Target("<=", 1.3)}


if __name__ == "__main__":
    sys.exit(main("latency.coverage", measure))
