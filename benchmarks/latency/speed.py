"""How many latencies of `ofa-w1.0` are predicted in a second on one core, plainly added and calibrated with standard deviation?

All 25 resolutions, populations of 10,000 drawn architectures; block times are drawn, which changes no speed. The best of several passes.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from benchmarks.harness import Outcome, Target, main
from hwnas.core.arch import Codes
from hwnas.core.predict import Predictor
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.space.family import blockwise, find_space
from hwnas.space.moves import sample

POPULATION, PASSES, QUICK_PASSES, NETWORKS = 10_000, 50, 5, 40


def per_second(predictor: Predictor, codes: Codes, passes: int) -> tuple[float, float]:
    """Predictions a second, in the best and in the median pass."""
    seconds = []
    for _ in range(passes):
        begin = time.perf_counter()
        predictor.predict(codes)
        seconds.append(time.perf_counter() - begin)
    return len(codes) / min(seconds), len(codes) / float(np.median(seconds))


def measure(quick: bool) -> Outcome:
    """Additive and calibrated, on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    space = find_space("ofa-w1.0")
    rng = np.random.default_rng(0)
    times_ms = rng.uniform(0.1, 1.0, len(blockwise(space).vocabulary(space)))
    additive = AdditiveLatency(space, {"device": "drawn", "runtime": "none"}, "p50", "p50", 0.0, times_ms)
    networks = sample(space, NETWORKS, rng)
    measured = additive.sums_ms(networks) * 0.9 * rng.lognormal(0.0, 0.01, NETWORKS)
    calibrated = CalibratedLatency.from_additive(additive).fit(networks, measured)
    codes = sample(space, POPULATION, rng)
    figures: dict[str, float] = {}
    rows: list[tuple[object, ...]] = []
    for name, predictor in (("additive", additive.fit(networks, measured)), ("calibrated", calibrated)):
        best, median = per_second(predictor, codes, QUICK_PASSES if quick else PASSES)
        figures |= {f"{name}_per_second": best, f"{name}_per_second_median": median}
        rows.append((name, f"{best:,.0f}", f"{median:,.0f}"))
    targets = {"additive_per_second": Target(">=", 1_000_000), "calibrated_per_second": Target(">=", 300_000)}
    return Outcome(("predictor", "a second, best pass", "median pass"), rows, figures, targets)


if __name__ == "__main__":
    sys.exit(main("latency.speed", measure))
