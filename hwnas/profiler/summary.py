"""How far a measuring session is, and what it was like."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_agent.wire import printable

from hwnas.profiler.channel import Message
from hwnas.profiler.check import DeviceReport


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session is: samples accepted of those wanted, models finished; ``quiet_share`` is None until something was visited."""

    finished: int
    accepted: int
    wanted: int
    quiet_share: float | None
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a session was like. ``quiet_share`` is the share of the time that the device was quiet.

    ``wide`` names the models whose interval is wider than the plan wanted although they had their turn, or the time ended before that.
    ``throttled`` is what told that the device slowed itself down, ``cooled_s`` how long it was left alone because it was hot, ``heated_s``
    how long it was heated; None where the agent does not say.
    ``reference_us`` is the lower quartile of the reference model in each chunk; its spread is the drift that is left in accepted samples.
    """

    measured: tuple[str, ...]
    seconds: float
    visits: int
    probes: int
    quiet_level_us: float | None
    quiet_share: float | None
    reference_us: tuple[float, ...]
    runtime_version: str
    provider: str
    cores: tuple[int, ...]
    run_queue_seen: bool
    device: DeviceReport
    wide: tuple[str, ...] = ()
    hottest_c: float | None = None
    throttled: str | None = None
    cooled_s: float | None = None
    heated_s: float | None = None

    @property
    def reference_drift(self) -> float | None:
        """Largest relative difference of the reference model between chunks; None with fewer than two chunks."""
        if len(self.reference_us) < 2:
            return None
        return max(self.reference_us) / min(self.reference_us) - 1


def summary_of(done: Message, *, ready: Message, measured: tuple[str, ...], wide: tuple[str, ...], device: DeviceReport) -> SessionSummary:
    """A summary from the agent's first and last words."""
    return SessionSummary(
        measured=measured,
        seconds=done["seconds"],
        visits=done["visits"],
        probes=done["probes"],
        quiet_level_us=done["quiet_level_us"],
        quiet_share=done["quiet_share"],
        reference_us=tuple(done["reference_us"]),
        runtime_version=ready["runtime_version"],
        provider=ready["provider"],
        cores=tuple(ready["cores"]),
        run_queue_seen=ready["run_queue_seen"],
        device=device,
        wide=wide,
        hottest_c=done.get("hottest_c"),
        throttled=", ".join(printable(word) for word in done.get("throttled", ())) or None,
        cooled_s=done.get("cooled_s"),
        heated_s=done.get("heated_s"),
    )
