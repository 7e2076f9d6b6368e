"""How long measuring will take, before it starts: a first form that counts runs."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas_agent.measure import CHUNK
from hwnas_agent.sampling import COLD_RUNS

from hwnas.core.device import MeasurePlan

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
