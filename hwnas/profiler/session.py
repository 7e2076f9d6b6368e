"""One measuring session: jobs go to the agent, measurements come back one by one as they are finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hwnas_agent.wire import printable

from hwnas.core.device import Fact, Measurement, MeasurePlan
from hwnas.core.errors import AgentTimeout, ConfigError, DeviceError, DeviceLost, ProtocolError, TooNoisy
from hwnas.profiler.channel import Channel, Message
from hwnas.profiler.check import DeviceReport, read_hello
from hwnas.profiler.heartbeat import Attention

GRACE_S = 120.0
"""What a session may take beyond its plan: starting the runtime, loading the last models, a visit that was begun in time."""
BAND = 1.06
"""Levels of the probe further apart than this factor are different speeds of the device."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model file to measure, and the id under which its measurement comes back (a block's key, an architecture's id)."""

    id: str
    path: Path


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

    @property
    def reference_drift(self) -> float | None:
        """Largest relative difference of the reference model between chunks; None with fewer than two chunks."""
        if len(self.reference_us) < 2:
            return None
        return max(self.reference_us) / min(self.reference_us) - 1


OnMeasured = Callable[[str, Mapping[str, Measurement]], None]
OnProgress = Callable[[Progress], None]


def run_session(
    channel: Channel,
    jobs: Sequence[Job],
    plan: MeasurePlan,
    *,
    runtime: str,
    threads: int = 1,
    probe: Path,
    reference: Path,
    quiet_level_us: float | None = None,
    silence_s: float | None = None,
    on_measured: OnMeasured,
    on_progress: OnProgress | None = None,
) -> SessionSummary:
    """Measure all ``jobs`` on the device behind ``channel``.

    ``on_measured(id, {"quiet": …, "typical": …})`` is called as each model is finished, and again for a model that was measured anew
    because the device turned out to be faster than it had been until then: the later measurement replaces the earlier one.

    ``probe`` is a short model (100 to 200 us) in the same runtime and of the same kind of operations as the jobs, ``reference`` a model
    that is in every chunk, ``quiet_level_us`` the probe's level in an earlier session on this device. An agent that says
    nothing for ``silence_s`` (30 unless given) is given up.

    Raises, after every finished measurement was delivered: `TooNoisy` if quiet samples are too few, `DeviceError` if a model does not run
    or the runtime is unusable, `AgentTimeout`, `DeviceLost`, `ProtocolError`.
    """
    if len({job.id for job in jobs}) != len(jobs):
        raise ConfigError("two jobs of a session have the same id")
    if quiet_level_us is not None and quiet_level_us <= 0:
        raise ConfigError(
            f"a probe cannot have taken {quiet_level_us} us when the device was quiet; leave the level out where it is unknown"
        )
    device = read_hello(channel, runtimes=(runtime,), silence_s=silence_s)
    found = device.runtimes.get(runtime)
    if found is None or found.version is None:
        raise DeviceError(f"runtime '{runtime}' is not usable on this device: {found.reason if found else 'the agent does not know it'}")
    _ask(channel, jobs, plan, runtime=runtime, threads=threads, probe=probe, reference=reference, quiet_level_us=quiet_level_us)
    listener = _Listener(channel, jobs, plan, device, on_measured=on_measured, on_progress=on_progress)
    return listener.listen(silence_s=silence_s)


def stale(levels_us: Mapping[str, float], quiet_level_us: float) -> tuple[str, ...]:
    """Ids measured at another speed of the device than ``quiet_level_us``: measure them again before using them with the others."""
    return tuple(key for key, level in levels_us.items() if not 1 / BAND <= level / quiet_level_us <= BAND)


def _ask(
    channel: Channel,
    jobs: Sequence[Job],
    plan: MeasurePlan,
    *,
    runtime: str,
    threads: int,
    probe: Path,
    reference: Path,
    quiet_level_us: float | None,
) -> None:
    sent = asdict(plan)
    del sent["max_rel_ci"]  # the host's to judge
    sent["least_repeats"] = min(plan.least_repeats, plan.min_repeats)
    channel.send(
        {
            "type": "begin",
            "runtime": runtime,
            "threads": threads,
            "plan": sent | {"affinity": list(plan.affinity)},
            "probe": channel.push(probe, f"probe{probe.suffix}"),
            "reference": channel.push(reference, f"reference{reference.suffix}"),
            "quiet_level_us": quiet_level_us,
        }
    )
    for number, job in enumerate(jobs):
        channel.send({"type": "job", "id": job.id, "path": channel.push(job.path, f"{number}{job.path.suffix}")})
    channel.send({"type": "start", "jobs": len(jobs)})


class _Listener:
    """The host's side from ``start`` to ``done``: keeps the heartbeat, checks what comes, hands results on."""

    def __init__(
        self,
        channel: Channel,
        jobs: Iterable[Job],
        plan: MeasurePlan,
        device: DeviceReport,
        *,
        on_measured: OnMeasured,
        on_progress: OnProgress | None,
    ) -> None:
        self._channel = channel
        self._plan = plan
        self._least = min(plan.least_repeats, plan.min_repeats)
        self._device = device
        self._on_measured = on_measured
        self._on_progress = on_progress
        self._wanted = {job.id for job in jobs}
        self._measured: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._ready: Message | None = None
        self._begin = time.monotonic()

    def listen(self, *, silence_s: float | None = None) -> SessionSummary:
        """Until ``done``, or until a deadline passes."""
        attention = Attention(self._channel, timeout_s=self._plan.max_seconds + GRACE_S, silence_s=silence_s)
        try:
            while (message := attention.next())["type"] != "done":
                self._take(message)
        except (AgentTimeout, DeviceLost, ProtocolError) as problem:
            raise type(problem)(f"{problem}; {self._so_far()}") from None
        return self._done(message)

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "refused":
            raise DeviceError(f"the agent refuses: {printable(message['reason'])}; {self._so_far()}")
        if kind == "ready":
            if self._ready is not None:
                raise ProtocolError("the agent says twice that it is ready")
            self._ready = message
        elif kind == "result":
            self._result(message)
        elif kind == "failed":
            self._failed[self._known(message["id"])] = printable(message["reason"], 600)
        elif kind == "progress" and self._on_progress is not None:
            fields = {key: message[key] for key in ("finished", "accepted", "wanted", "quiet_share")}
            self._on_progress(Progress(**fields, elapsed_s=time.monotonic() - self._begin))
        elif kind != "progress":
            raise ProtocolError(f"the agent sends '{kind}' in the middle of a session")

    def _known(self, key: str) -> str:
        if key not in self._wanted:
            raise ProtocolError(f"the agent reports on '{printable(key, 80)}', which it was never asked for")
        return key

    def _result(self, message: Message) -> None:
        key = self._known(message["id"])
        if self._ready is None:
            raise ProtocolError("the agent sends results before it is ready")
        if len(message["quiet_ms"]) < self._least or not message["typical_ms"]:
            raise ProtocolError(f"the agent calls '{key}' finished with {len(message['quiet_ms'])} of {self._least} samples")
        self._measured[key] = self._measured.get(key, 0) + 1
        if self._measured[key] > 3:
            raise ProtocolError(f"the agent reports on '{key}' again and again")
        self._on_measured(key, measurements(message, runtime_version=self._ready["runtime_version"]))

    def _done(self, message: Message) -> SessionSummary:
        if self._ready is None:
            raise ProtocolError("the agent is done before it is ready")
        if self._failed:
            key, reason = next(iter(self._failed.items()))
            raise DeviceError(f"{len(self._failed)} of {len(self._wanted)} models do not run on the device, first {key}: {reason}")
        if message["short"] > 0:
            raise TooNoisy(self._evidence(message))
        if self._measured.keys() != self._wanted:
            raise ProtocolError(f"the agent is done with {len(self._measured)} of {len(self._wanted)} models measured")
        return SessionSummary(
            measured=tuple(self._measured),
            seconds=message["seconds"],
            visits=message["visits"],
            probes=message["probes"],
            quiet_level_us=message["quiet_level_us"],
            quiet_share=message["quiet_share"],
            reference_us=tuple(message["reference_us"]),
            runtime_version=self._ready["runtime_version"],
            provider=self._ready["provider"],
            cores=tuple(self._ready["cores"]),
            run_queue_seen=self._ready["run_queue_seen"],
            device=self._device,
        )

    def _evidence(self, done: Message) -> str:
        share = "none" if done["quiet_share"] is None else f"{done['quiet_share']:.0%}"
        level = "unknown" if done["quiet_level_us"] is None else f"{done['quiet_level_us']:.1f} us"
        return (
            f"{done['short']} of {len(self._wanted)} models have fewer than {self._least} quiet samples after"
            f" {done['seconds']:.0f} s (fewest {done['fewest']}); the device was quiet for {share} of the time"
            f" (probe level {level}); finished ones are kept: run again when less else runs there, or give the plan more max_seconds"
        )

    def _so_far(self) -> str:
        return f"{len(self._measured)} of {len(self._wanted)} models were measured and are kept"


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
            facts={"regime": regime, **shared},
        )

    return {"quiet": one("quiet", message["rejected"]), "typical": one("typical", 0)}
