"""How long measuring will take, before it starts: a first form that counts runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hwnas_agent.measure import CHUNK
from hwnas_agent.sampling import COLD_RUNS

from hwnas.core.device import MeasurePlan
from hwnas.profiler.native import BURST_MS, LEAST_RUNS
from hwnas.profiler.native import CHUNK as NATIVE_CHUNK
from hwnas.profiler.nativetools import MAX_RUNS

START_S = 3.0
LOAD_S = 0.005
VISIT_MS = 0.03
PROBES_PER_VISIT = 2


def session_seconds(expected_ms: Sequence[float], plan: MeasurePlan, *, quiet_share: float = 1.0, probe_ms: float = 0.15) -> float:
    """Seconds for one session of models of about ``expected_ms`` each, at most the plan's ``max_seconds`` and the time for heating.

    ``quiet_share`` is the share of visits that find the device quiet: a device that is quiet half of the time takes about twice as long.
    """
    visits = plan.min_repeats / min(1.0, max(quiet_share, 0.01))
    total_ms = 0.0
    for own_ms in expected_ms:
        visit_ms = COLD_RUNS * own_ms + max(own_ms, plan.min_sample_us / 1e3) + PROBES_PER_VISIT * probe_ms + VISIT_MS
        total_ms += visits * visit_ms + (1 + plan.warmup) * own_ms
    chunks = -(-len(expected_ms) // CHUNK)
    total_s = START_S + len(expected_ms) * LOAD_S + total_ms / 1e3 + max(0, chunks - 1) * plan.cooldown_s
    return plan.heat_s + min(total_s, plan.max_seconds)


BURST_START_S = 0.08
"""Starting a command there, the program itself, and its loading of a small model."""
BURST_WARMUP = 4
"""Calls of a burst that are not counted."""


def native_seconds(expected_ms: Sequence[float], left: Sequence[int], *, start_s: float = BURST_START_S) -> float:
    """Seconds for the bursts of a benchmark program that models of about ``expected_ms`` each still lack, the first one included.

    ``left`` says how many. The largest model stands for the reference, which has a burst in each round of a chunk. What a burst takes
    beyond its calls is ``start_s``.
    """
    total_s = START_S
    for at in range(0, len(expected_ms), NATIVE_CHUNK):
        rounds = max(left[at : at + NATIVE_CHUNK])
        total_s += rounds * burst_seconds(max(expected_ms), start_s=start_s)
    return total_s + sum(n * burst_seconds(own_ms, start_s=start_s) for own_ms, n in zip(expected_ms, left, strict=True))


def burst_seconds(own_ms: float, *, start_s: float) -> float:
    """Seconds for one burst of a model that takes about ``own_ms``."""
    runs = min(MAX_RUNS, max(LEAST_RUNS, math.ceil(BURST_MS / own_ms)))
    return start_s + (BURST_WARMUP + runs) * own_ms / 1e3
