"""How well is a device known after a few measurements? Predictors on measurements that others published.

NAS-Bench-201: every physical device is left out in turn with all its batch sizes; ten cells, chosen by the method among 1,000 drawn ones,
are all that is seen of it. Rows below a tenth of their column's median (cells that do nothing) are not scored; cells without a path from
input to output are not offered for measuring. Beside it, from the same ten cells: FLOPs, an additive fit, trees, non-negative least
squares on the other devices; and an oracle that saw 11,600 cells of the device itself. Further: FBNet (two of its columns are sums of
block tables), OFA subnets on GPUs after 10, 30 and 100 measurements, HAT transformers after 100.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Outcome, Target, main
from benchmarks.latency._reference import PHONES_AND_CPUS, Published, fbnet, hat, nas_bench_201, ofa_gpus, physical
from hwnas.core.predict import Floats
from hwnas.latency.agreement import Agreement, agreement
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.gaussian import GaussianLatency
from hwnas.latency.regression import robust_weights
from hwnas.latency.transfer import DevicePrior, Source, TransferLatency
from hwnas.latency.trees import TreesLatency
from hwnas.latency.views import views
from hwnas.space.family import Cellwise, family_of

SAMPLES, SEEDS, QUICK_SEEDS = 10, 10, 1
CANDIDATES, KNOWN, ORACLE = 1000, 1000, 11_600
ONCE = {"oracle": 1, "trees": 2}
"""Methods that are tried with fewer seeds, because they take long or know everything."""
Row = tuple[object, ...]
SUMS = ("fpga", "pixel3")
"""Columns of FBNet that were published as sums of a block table."""


@dataclass(frozen=True)
class _Case:
    """One column, one seed: which cells were measured, which are scored."""

    data: Published
    column: str
    prior: DevicePrior
    chosen: NDArray[np.intp]
    scored: NDArray[np.intp]

    @property
    def times(self) -> Floats:
        return self.data.columns[self.column]

    def score(self, predicted: Floats) -> Agreement:
        """Of predictions for every row of the data."""
        return agreement(np.maximum(predicted[self.scored], 1e-3), self.times[self.scored])


def sources_of(data: Published, *, seed: int = 0, allowed: NDArray[np.intp] | None = None) -> list[Source]:
    """Every column as a known device, by 1,000 of its networks."""
    rng = np.random.default_rng(seed)
    out = []
    for column, times in data.columns.items():
        rows = data.scored(column) if allowed is None else np.intersect1d(data.scored(column), allowed)
        known = rng.choice(rows, min(KNOWN, len(rows)), replace=False)
        out.append(Source(physical(column), column, data.codes[known], times[known]))
    return out


def _means(scores: Sequence[Agreement]) -> tuple[float, float]:
    """Spearman and share within 10 %, over seeds."""
    return float(np.mean([s.spearman for s in scores])), float(np.mean([s.within_10 for s in scores]))


def transfer(case: _Case) -> Floats:
    """The method."""
    fitted = TransferLatency(case.data.space, case.column, case.prior)
    return fitted.fit(case.data.codes[case.chosen], case.times[case.chosen]).predict(case.data.codes).mean


def flops(case: _Case) -> Floats:
    """A line over FLOPs, of relative errors."""
    assert case.data.flops_m is not None
    features = np.stack([np.ones(len(case.data.codes)), case.data.flops_m], axis=1)
    return features @ robust_weights(features[case.chosen], case.times[case.chosen])[0]


def additive(case: _Case, rows: NDArray[np.intp] | None = None) -> Floats:
    """Counts of operations, as many as are written; the weights from the measured cells alone."""
    own = case.chosen if rows is None else rows
    features = views(case.data.space)["written"](case.data.codes)
    return features @ robust_weights(features[own], case.times[own])[0]


def oracle(case: _Case) -> Floats:
    """Counts of what is written and of what is needed, from 11,600 cells of the device itself."""
    features = np.concatenate([view(case.data.codes)[:, skip:] for skip, view in enumerate(views(case.data.space).values())], axis=1)
    own = np.random.default_rng(0).choice(case.scored, min(ORACLE, len(case.scored)), replace=False)
    return features @ robust_weights(features[own], case.times[own])[0]


def other_devices(case: _Case) -> Floats:
    """A mixture of what the other devices take, with weights that are not negative, and a constant."""
    from scipy.optimize import nnls

    others = [times for column, times in case.data.columns.items() if physical(column) != physical(case.column)]
    features = np.stack([np.ones(len(case.data.codes)), *others], axis=1)
    measured = case.times[case.chosen]
    weights, _ = nnls(features[case.chosen] / measured[:, None], np.ones(len(measured)))
    return np.asarray(features @ weights)


def trees(case: _Case) -> Floats:
    """Gradient boosting on the measured cells."""
    fitted = TreesLatency(case.data.space).fit(case.data.codes[case.chosen], case.times[case.chosen])
    return fitted.predict(case.data.codes).mean


METHODS: Mapping[str, Callable[[_Case], Floats]] = {
    "flops": flops,
    "additive": additive,
    "trees": trees,
    "others": other_devices,
    "transfer": transfer,
    "oracle": oracle,
}


def cells(seeds: int) -> tuple[list[Row], dict[str, float]]:
    """NAS-Bench-201, each physical device left out in turn."""
    data = nas_bench_201()
    family = family_of(data.space)
    assert isinstance(family, Cellwise)
    offered = np.flatnonzero(family.connected(data.space, data.codes))
    prior = DevicePrior.learn(data.space, sources_of(data, allowed=offered))
    found: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in METHODS}
    for column in data.columns:
        rest = prior.without(physical(column))
        by_method: dict[str, list[Agreement]] = {name: [] for name in METHODS}
        for seed in range(seeds):
            candidates = np.random.default_rng(seed).choice(offered, CANDIDATES, replace=False)
            chosen = candidates[rest.choose(data.codes[candidates], SAMPLES)]
            case = _Case(data, column, rest, chosen, np.setdiff1d(data.scored(column), chosen))
            for name, method in METHODS.items():
                if seed < ONCE.get(name, seeds):
                    by_method[name].append(case.score(method(case)))
        for name, scores in by_method.items():
            found[name][column] = _means(scores)
    rows: list[Row] = [
        (f"NAS-Bench-201 {column}", *(f"{found[m][column][0]:.3f} / {found[m][column][1]:.0%}" for m in METHODS)) for column in data.columns
    ]
    figures = {}
    for name, per_column in found.items():
        every = np.array(list(per_column.values()))
        small = np.array([per_column[column] for column in PHONES_AND_CPUS])
        for word, part in (("all", every), ("phones_cpus", small)):
            figures[f"nb201_{name}_{word}_spearman"] = float(part[:, 0].mean())
            figures[f"nb201_{name}_{word}_within_10_percent"] = 100 * float(part[:, 1].mean())
    figures["nb201_transfer_pixel3_within_10_percent"] = 100 * found["transfer"]["pixel3"][1]
    for word in ("all", "phones_cpus"):
        means = (f"{figures[f'nb201_{m}_{word}_spearman']:.3f} / {figures[f'nb201_{m}_{word}_within_10_percent']:.0f}%" for m in METHODS)
        rows.append((f"NAS-Bench-201, mean: {word}", *means))
    return rows, figures


def chains(samples: int, columns: int | None = None) -> tuple[list[Row], dict[str, float]]:
    """FBNet: block times learned from whole networks alone."""
    data = fbnet()
    rows: list[Row] = []
    figures: dict[str, float] = {}
    sums: list[float] = []
    measured: list[float] = []
    ordered = sorted(data.columns, key=lambda name: name not in SUMS)
    for column in ordered[:columns]:
        times = data.columns[column]
        chosen = np.random.default_rng(0).choice(len(times), samples, replace=False)
        rest = np.setdiff1d(np.arange(len(times)), chosen)
        fitted = CalibratedLatency(data.space, {}).fit(data.codes[chosen], times[chosen])
        score = agreement(fitted.predict(data.codes[rest]).mean, times[rest])
        (sums if column in SUMS else measured).append(score.r2)
        rows.append((f"FBNet {column}, {samples}", f"R2 {score.r2:.4f}", f"{score.spearman:.3f} / {score.within_10:.0%}"))
    figures["fbnet_sums_lowest_r2"] = min(sums)
    figures["fbnet_measured_mean_r2"] = float(np.mean(measured))
    return rows, figures


def gpus(seeds: int, columns: int | None = None) -> tuple[list[Row], dict[str, float]]:
    """OFA subnets: after 10 measurements by way of the other GPUs, and as many by the networks alone where there are enough."""
    data = ofa_gpus()
    prior = DevicePrior.learn(data.space, sources_of(data))
    rows: list[Row] = []
    by_count: dict[str, list[tuple[float, float]]] = {}
    for column, times in islice(data.columns.items(), columns):
        rest = prior.without(physical(column))
        shown = []
        for count in (10, 30, 100):
            scores = []
            for seed in range(seeds):
                candidates = np.random.default_rng(seed).choice(len(times), CANDIDATES, replace=False)
                chosen = candidates[rest.choose(data.codes[candidates], count)]
                scored = np.setdiff1d(data.scored(column), chosen)
                fitted = TransferLatency(data.space, column, rest).fit(data.codes[chosen], times[chosen])
                scores.append(agreement(fitted.predict(data.codes[scored]).mean, times[scored]))
            mean = _means(scores)
            by_count.setdefault(str(count), []).append(mean)
            shown.append(f"{count}: {mean[0]:.3f} / {mean[1]:.0%}")
        rows.append((f"OFA {column}", *shown))
    figures: dict[str, float] = {}
    for name, means in by_count.items():
        spearman, within = np.mean(means, axis=0)
        figures |= {f"ofa_{name}_spearman": float(spearman), f"ofa_{name}_within_10_percent": 100 * float(within)}
    return rows, figures


def transformers(seeds: int, columns: int | None = None) -> tuple[list[Row], dict[str, float]]:
    """HAT: a Gaussian process and trees after 100 measurements."""
    data = hat()
    rows: list[Row] = []
    within = []
    for column, all_times in islice(data.columns.items(), columns):
        own = np.flatnonzero(np.isfinite(all_times))
        # transformers that share the published features are one network here: their mean
        codes, which = np.unique(data.codes[own], axis=0, return_inverse=True)
        times = np.bincount(which, all_times[own]) / np.bincount(which)
        shown = []
        for predictor in (GaussianLatency(data.space), TreesLatency(data.space)):
            scores = []
            for seed in range(seeds):
                chosen = np.random.default_rng(seed).choice(len(times), 100, replace=False)
                rest = np.setdiff1d(np.arange(len(times)), chosen)
                scores.append(agreement(predictor.fit(codes[chosen], times[chosen]).predict(codes[rest]).mean, times[rest]))
            mean = _means(scores)
            shown.append(f"{predictor.label}: {mean[0]:.3f} / {mean[1]:.0%}")
            if isinstance(predictor, GaussianLatency):
                within.append(mean)
        rows.append((f"HAT {column}, 100", *shown))
    spearman, share = np.mean(within, axis=0)
    return rows, {"hat_100_spearman": float(spearman), "hat_100_within_10_percent": 100 * float(share)}


def measure(quick: bool) -> Outcome:
    """All four sets; figures are means over columns of means over seeds."""
    seeds = QUICK_SEEDS if quick else SEEDS
    rows: list[Row] = []
    figures: dict[str, float] = {}
    few = 3 if quick else None
    parts = (cells(seeds), chains(400, few), gpus(min(seeds, 3), few), transformers(min(seeds, 2), few))
    for part in parts:
        rows += part[0]
        figures |= part[1]
    width = 1 + len(METHODS)
    columns = ("Spearman / within 10 %", *METHODS)
    targets = {
        "nb201_transfer_all_spearman": Target(">=", 0.97),
        "nb201_transfer_all_within_10_percent": Target(">=", 85),
        "nb201_transfer_phones_cpus_spearman": Target(">=", 0.95),
        "nb201_transfer_phones_cpus_within_10_percent": Target(">=", 60),
        "nb201_transfer_pixel3_within_10_percent": Target(">=", 40),
        "fbnet_sums_lowest_r2": Target(">=", 0.9995),
    }
    return Outcome(columns, [(*row, *[""] * (width - len(row))) for row in rows], figures, targets)


if __name__ == "__main__":
    sys.exit(main("latency.published", measure))
