"""What an agent's ``result`` says, as measurements."""

from __future__ import annotations

from hwnas.core.device import Fact, Measurement
from hwnas.profiler.channel import Message


def measurements(message: Message, *, runtime_version: str) -> dict[str, Measurement]:
    """A ``result`` of the agent as one measurement per regime."""
    shared: dict[str, Fact] = {
        "runtime_version": runtime_version,
        "quiet_level_us": message["quiet_level_us"],
        "runs_per_sample": message["runs_per_sample"],
        "chunk": message["chunk"],
    }

    def one(regime: str, rejected: int) -> Measurement:
        return Measurement(
            samples_ms=tuple(float(ms) for ms in message[f"{regime}_ms"]),
            rejected=rejected,
            load_ms=message["load_ms"],
            first_ms=message["first_ms"],
            peak_memory_bytes=message.get("peak_memory_bytes"),
            facts={"regime": regime, **shared},
        )

    return {"quiet": one("quiet", message["rejected"]), "typical": one("typical", 0)}
