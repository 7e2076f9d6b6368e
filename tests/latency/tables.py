"""Small tables for tests: measured numbers are drawn, everything else is real."""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import SearchSpace
from hwnas.core.device import Measurement, MeasurePlan
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.table import LatencyTable, Network
from hwnas.space.family import SpaceOptions, blockwise, find_space
from hwnas.space.moves import sample

OVERHEAD_MS = 0.004


def tiny_space(*resolutions: int) -> SearchSpace:
    return find_space("tiny-32", SpaceOptions(resolutions=resolutions or (20,)))


def measurement(center_ms: float, rng: np.random.Generator, *, n: int = 12, noise: float = 0.01) -> Measurement:
    samples = center_ms * rng.lognormal(0.0, noise, n)
    return Measurement(tuple(float(s) for s in samples), rejected=int(rng.integers(0, 5)), load_ms=1.5, first_ms=2.25)


def make_table(
    space: SearchSpace,
    *,
    networks: int = 12,
    scale: float = 0.9,
    intercept_ms: float = OVERHEAD_MS,
    noise: float = 0.01,
    seed: int = 0,
    device: str = "bench",
    regime: str = "quiet",
) -> LatencyTable:
    """Blocks of 5 to 50 us; networks cost ``intercept_ms + scale * sum of blocks``, with noise."""
    rng = np.random.default_rng(seed)
    words = blockwise(space).vocabulary(space)
    times_ms = rng.uniform(0.005, 0.05, len(words))
    codes = sample(space, networks, rng)
    plain = AdditiveLatency(space, {"device": device, "runtime": "onnxruntime"}, "p50", "p50", 0.0, times_ms)
    nets = {}
    for code, sum_ms in zip(codes, plain.sums_ms(codes), strict=True):
        network = Network(space.architecture(code), measurement(intercept_ms + scale * float(sum_ms), rng, noise=noise))
        nets[network.key] = network
    return LatencyTable(
        device=device,
        runtime="onnxruntime",
        precision="fp32",
        threads=1,
        batch=1,
        regime=regime,
        plan=MeasurePlan(),
        facts={"cpu": "x86-64", "quiet_share": 0.5, "governor": None},
        overhead=measurement(OVERHEAD_MS, rng, noise=noise),
        entries={b.key: measurement(OVERHEAD_MS + float(t), rng, noise=noise) for b, t in zip(words, times_ms, strict=True)},
        networks=nets,
    )
