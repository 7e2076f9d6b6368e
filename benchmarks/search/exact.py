"""Is the exact solver right, and how long does the whole front of a published space take?

Right: against brute force on a space of a million architectures. Long: the front of ``ofa-w1.0`` at eight resolutions, with latencies and
accuracies that grow with the blocks, and of NAS-Bench-Macro (Su et al. 2021, arXiv 2103.11922; 3^8 architectures), with a sum fitted to its
accuracies and a sum of its operations as the cost. Times are CPU seconds, from the models to the architectures of the front.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time

import numpy as np

from benchmarks.harness import Outcome, Target, main
from benchmarks.search._nasbench import macro
from hwnas.core.arch import Choice, Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.latency.additive import AdditiveLatency
from hwnas.search.linear import LinearFit
from hwnas.search.pareto import pareto_front
from hwnas.search.structure import Values, decompose
from hwnas.search.sums import solve_sums
from hwnas.space.family import SpaceOptions, blockwise, find_space
from hwnas.space.moves import encode

RESOLUTIONS = (128, 144, 160, 176, 192, 208, 216, 224)
REPEATS = 5
_TOLERANCE = 1e-9


def solved(space: SearchSpace, model: Values, repeats: int) -> tuple[Floats, float]:
    """The front's values ``(n, 2)``, by ascending cost, and the median CPU seconds that it took."""
    cpu_s = []
    for _ in range(repeats):
        begin = time.process_time()
        _, values = solve_sums(decompose(space, model))
        cpu_s.append(time.process_time() - begin)
    return values, float(np.median(cpu_s))


def once_for_all(seed: int) -> tuple[SearchSpace, Values]:
    """Latency by the multiply-adds of the blocks, with noise, and an accuracy that grows with every option, less and less."""
    space = find_space("ofa-w1.0", SpaceOptions(resolutions=RESOLUTIONS))
    rng = np.random.default_rng(seed)
    words = blockwise(space).vocabulary(space)
    sizes = [(float(dict(b.params).get("mid", b.in_shape[0])), float(dict(b.params).get("k", 1)), b.in_shape) for b in words]
    times_ms = np.array([1e-7 * shape[1] ** 2 * mid * (shape[0] + k * k) * rng.lognormal(0, 0.2) for mid, k, shape in sizes])
    latency = AdditiveLatency(space, {}, "p50", "p50", 0.0, times_ms)
    weights = np.concatenate([np.sort(1 - rng.uniform(0, 1, len(c.options)) ** 2) * rng.uniform(0.001, 0.01) for c in space.choices])
    return space, lambda codes: np.stack([latency.sums_ms(codes), -(encode(space, codes) @ weights)], axis=1)


def apart(found: Floats, truth: Floats) -> float:
    """How far one front ``(n, 2)`` is behind the other anywhere, either way, as a share of the truth's range.

    Costs that differ by rounding alone count as equal: which of two such points stays is an accident.
    """
    ranges = np.maximum(np.ptp(truth, axis=0), 1e-300)

    def behind(one: Floats, other: Floats) -> float:
        at = np.searchsorted(one[:, 0], other[:, 0] + _TOLERANCE * ranges[0], side="right") - 1
        if (at < 0).any():
            return 1.0
        return max(0.0, float(((one[at, 1] - other[:, 1]) / ranges[1]).max()))

    return max(behind(found, truth), behind(truth, found))


def brute_force(quick: bool) -> tuple[int, float]:
    """How many architectures were compared, and how far the front is from that of all of them."""
    count = 7 if quick else 10
    space = SearchSpace("benchmark", "chain", (1, 1, 1), tuple(Choice(f"c{i}", tuple(range(4))) for i in range(count)))
    rng = np.random.default_rng(0)
    tables = rng.uniform(size=(count - 1, 4, 4, 2)) * np.array([1.0, -1.0])

    def chain(codes: Codes) -> Floats:
        total = np.zeros((len(codes), 2))
        for i, table in enumerate(tables):
            total += table[codes[:, i], codes[:, i + 1]]
        return total

    everything = np.indices((4,) * count, dtype=np.int16).reshape(count, -1).T
    points = chain(everything)
    truth = points[pareto_front(points)]
    _, values = solve_sums(decompose(space, chain))
    return len(everything), apart(values, truth)


def measure(quick: bool) -> Outcome:
    """Three instances."""
    compared, off = brute_force(quick)
    rows: list[tuple[object, ...]] = [("chain, brute force", f"{compared:,}", "", "", f"{off:.1e}")]
    figures = {"brute_force_architectures": float(compared), "brute_force_off": off}
    targets = {"brute_force_off": Target("<=", _TOLERANCE), "ofa_cpu_s": Target("<=", 0.2)}
    space, model = once_for_all(0)
    values, cpu_s = solved(space, model, REPEATS)
    figures |= {"ofa_points": float(len(values)), "ofa_cpu_s": cpu_s}
    rows.append(("ofa-w1.0, 8 resolutions", f"{space.size:.3g}", len(values), f"{cpu_s:.3f}", ""))
    bench = macro()
    fit = LinearFit.of(bench.space, bench.codes, bench.accuracy)
    cost = LinearFit.of(bench.space, bench.codes, bench.flops)
    both = np.stack([cost.weights, -fit.weights], axis=1)

    def fitted(codes: Codes) -> Floats:
        sums: Floats = encode(bench.space, codes) @ both
        return sums

    values, cpu_s = solved(bench.space, fitted, REPEATS)
    truth = fitted(bench.codes)
    truth = truth[pareto_front(truth)]
    off = apart(values, truth)
    figures |= {"macro_points": float(len(values)), "macro_cpu_s": cpu_s, "macro_off": off}
    targets |= {"macro_cpu_s": Target("<=", 0.2), "macro_off": Target("<=", _TOLERANCE)}
    rows.append(("NAS-Bench-Macro, fitted", f"{bench.space.size:,}", len(values), f"{cpu_s:.3f}", f"{off:.1e}"))
    return Outcome(("instance", "architectures", "points of the front", "CPU s", "off brute force"), rows, figures, targets)


if __name__ == "__main__":
    sys.exit(main("search.exact", measure))
