"""What an agent says of its models, as measurements: what it calls a result, and what it sampled on a device that was never quiet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hwnas_agent.wire import printable

from hwnas.core.device import Fact, Measurement, MeasurePlan
from hwnas.core.errors import TooNoisy
from hwnas.profiler.channel import Message
from hwnas.profiler.twoway import Attempts, busy_times

BUSY_LEAST = 40
"""Fewer samples of a busy device than one a round are too few to be told from its state."""
_EXECUTION_TEXT = {"executed_by": "by", "execution_note": "note"}


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


def busy_measurements(messages: Mapping[str, Message], plan: MeasurePlan, *, ready: Message) -> dict[str, Measurement]:
    """Samples of a busy device with the state of the device taken off, by id.

    Too few samples of some model, or an interval of the plan's statistic wider than it wanted, raise `TooNoisy` with the worst of them.
    """
    found = busy_times({key: Attempts(m["at_s"], m["busy_ms"]) for key, m in messages.items()})
    out = {}
    for key, message in messages.items():
        shared: dict[str, Fact] = {"runtime_version": ready["runtime_version"], "runs_per_sample": message["runs_per_sample"]}
        shared.update(_executed(message["execution"]))
        measured = Measurement(
            samples_ms=found.samples_ms[key],
            rejected=message["rejected"],
            load_ms=message["load_ms"],
            first_ms=message["first_ms"],
            peak_memory_bytes=message.get("peak_memory_bytes"),
            energy_mj=message.get("energy_mj"),
            facts={"regime": "busy", **shared, "state_spread": round(found.spread, 6)},
        )
        reach = measured.half_width(plan.statistic)
        out[key] = replace(measured, facts={**measured.facts, "rel_ci": round(reach, 6) if math.isfinite(reach) else None, "wide": False})
    fewest = min(out, key=lambda key: len(out[key].samples_ms))
    if (n := len(out[fewest].samples_ms)) < BUSY_LEAST:
        raise TooNoisy(f"{fewest} has {n} busy samples of the {BUSY_LEAST} that are needed at least")
    widest = max(out, key=lambda key: out[key].half_width(plan.statistic))
    if (reach := out[widest].half_width(plan.statistic)) > plan.max_rel_ci:
        raise TooNoisy(
            f"the {plan.statistic} of {widest} is known to {100 * reach:.1f} % when busy, wanted are {100 * plan.max_rel_ci:.1f} %"
        )
    return out


def _one(message: Message, regime: str, rejected: int, *, ready: Message) -> Measurement:
    facts: dict[str, Fact] = {
        "regime": regime,
        "runtime_version": ready["runtime_version"],
        "quiet_level_us": message["quiet_level_us"],
        "runs_per_sample": message["runs_per_sample"],
        "chunk": message["chunk"],
        **_executed(message["execution"]),
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


def _executed(execution: Mapping[str, Any]) -> dict[str, Fact]:
    """What ran a model and how many of its nodes fell back, as facts; None is unknown, and the note says why."""
    text = {name: None if execution[key] is None else printable(execution[key], 600) for name, key in _EXECUTION_TEXT.items()}
    return {**text, "fallbacks": execution["fallbacks"]}
