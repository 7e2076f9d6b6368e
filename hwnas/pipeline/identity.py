"""What a device was when it was timed, as far as timings depend on it. Unlike a boot id it outlives a reboot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from hwnas.profiler.check import DeviceReport


@dataclass(frozen=True, slots=True)
class Identity:
    """Runtime, processor and system; None where the device did not tell. Timings of two identities never make one table."""

    runtime: str
    runtime_version: str | None
    cpu: str | None
    arch: str | None
    system: str | None

    @classmethod
    def of(cls, report: DeviceReport, runtime: str) -> Self:
        """From what the device, or its agent, says of itself."""
        found, cpu = report.runtimes.get(runtime), report.facts.get("cpu")
        version = None if found is None else found.version
        return cls(runtime, version, None if cpu is None else str(cpu), report.arch or None, report.system or None)

    @classmethod
    def read(cls, facts: Mapping[str, Any], *, runtime: str) -> Self:
        """From the facts of a table or of a journal's record; what they lack is None."""
        known = {field.name: facts.get(field.name) for field in fields(cls) if field.name != "runtime"}
        return cls(runtime, **known)

    def facts(self) -> dict[str, str | None]:
        """As facts of a table."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "runtime"}

    def changes(self, now: Identity) -> tuple[str, ...]:
        """What differs now, each as ``onnxruntime 1.22.0, now 1.23.0``; what either side does not know is no change."""
        words = {"runtime_version": self.runtime, "cpu": "processor", "arch": "architecture", "system": "system"}
        pairs = ((word, getattr(self, name), getattr(now, name)) for name, word in words.items())
        return tuple(f"{word} {was}, now {is_}" for word, was, is_ in pairs if was is not None and is_ is not None and was != is_)
