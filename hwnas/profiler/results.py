"""What an agent's ``result`` says, as measurements."""

from __future__ import annotations

import math
from dataclasses import replace

from hwnas.core.device import Fact, Measurement, MeasurePlan
from hwnas.profiler.channel import Message


def measurements(message: Message, plan: MeasurePlan, *, ready: Message) -> dict[str, Measurement]:
    """A ``result`` of the agent as one measurement per regime: ``quiet`` and ``typical``.

    With a plan that heats the device it is ``sustained`` alone. The facts of the first say how far the 95 % interval of the plan's
    statistic reaches (``rel_ci``, a share; None without two ends), and whether that is ``wide``, more than the plan wanted.
    """
    first = _one(message, "quiet", message["rejected"], ready=ready)
    reach = first.half_width(plan.statistic)
    told: dict[str, Fact] = {"rel_ci": round(reach, 6) if math.isfinite(reach) else None, "wide": reach > plan.max_rel_ci}
    if plan.heat_s > 0:
        hot: dict[str, Fact] = {name: value for name, value in first.facts.items() if name != "quiet_level_us"}
        return {"sustained": replace(first, facts=hot | told | {"regime": "sustained"})}
    return {"quiet": replace(first, facts={**first.facts, **told}), "typical": _one(message, "typical", 0, ready=ready)}


def _one(message: Message, regime: str, rejected: int, *, ready: Message) -> Measurement:
    facts: dict[str, Fact] = {
        "regime": regime,
        "runtime_version": ready["runtime_version"],
        "quiet_level_us": message["quiet_level_us"],
        "runs_per_sample": message["runs_per_sample"],
        "chunk": message["chunk"],
    }
    if message.get("energy_mj") is not None:
        facts["power_rails"] = ", ".join(ready.get("rails", ()))[:300]
    return Measurement(
        samples_ms=tuple(float(ms) for ms in message[f"{regime}_ms"]),
        rejected=rejected,
        load_ms=message["load_ms"],
        first_ms=message["first_ms"],
        peak_memory_bytes=message.get("peak_memory_bytes"),
        energy_mj=message.get("energy_mj"),
        facts=facts,
    )
