"""One measuring session: jobs go to the agent, measurements come back one by one as they are finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hwnas_agent.wire import printable

from hwnas.core.device import Measurement, MeasurePlan
from hwnas.core.errors import AgentTimeout, ConfigError, DeviceError, DeviceLost, ProtocolError, TooNoisy
from hwnas.profiler.channel import Channel, Message
from hwnas.profiler.check import DeviceReport, read_hello, require_readable
from hwnas.profiler.heartbeat import Attention
from hwnas.profiler.results import busy_measurements, measurements
from hwnas.profiler.summary import Progress, SessionSummary, summary_of
from hwnas.profiler.together import MAX_TURN_S, Together, cores_of

GRACE_S = 120.0
"""What a session may take beyond its plan: starting the runtime, loading the last models, a visit that was begun in time."""
BAND = 1.06
"""Levels of the probe further apart than this factor are different speeds of the device."""

MOST_RESULTS = 4
"""A model is told once, twice more where the device turned out to be faster, and once more where time was left for more samples."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model file to measure, and the id under which its measurement comes back (a block's key, an architecture's id)."""

    id: str
    path: Path


OnMeasured = Callable[[str, Mapping[str, Measurement]], None]
OnProgress = Callable[[Progress], None]
OnBusy = Callable[[Mapping[str, Measurement], SessionSummary], None]
OnDevice = Callable[[DeviceReport], None]


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
    needs: tuple[int, int] | None = None,
    silence_s: float | None = None,
    on_measured: OnMeasured,
    on_progress: OnProgress | None = None,
    others: Sequence[Job] = (),
    on_busy: OnBusy | None = None,
    on_device: OnDevice | None = None,
    together: Together | None = None,
) -> SessionSummary:
    """Measure all ``jobs`` on the device behind ``channel``.

    ``on_measured(id, {"quiet": …, "typical": …})`` is called as each model is finished (with ``{"sustained": …}`` where the plan heats the
    device), and again for a model that got more samples in time that was left, or was measured anew because the device turned out to be
    faster than it had been until then: the later measurement replaces the earlier one.

    ``probe`` is a short model (100 to 200 us) in the same runtime and of the same kind of operations as the jobs, ``reference`` a model
    that is in every chunk, ``quiet_level_us`` the probe's level in an earlier session on this device, ``needs`` the ONNX IR and opset of
    the files: a device that says that it reads only older ones is refused before it is sent anything. An agent that says nothing for
    ``silence_s`` (30 unless given) is given up.

    A device that is hardly ever quiet has all ``jobs``, and ``others`` whose quiet times are known already, measured as it is. Where that
    is precise enough, ``on_busy(measurements by id, summary)`` gets it before `TooNoisy` is raised. Such times are relative to the state
    that the device was in and must not be mixed with quiet ones.

    ``on_device`` hears what the device is before anything is asked of it, and may raise; ``together`` is what this session shares with
    others that run at the same time.

    Raises, after every finished measurement was delivered: `TooNoisy` if quiet samples are too few, `DeviceError` if a model does not run
    or the runtime is unusable, `AgentTimeout`, `DeviceLost`, `ProtocolError`.
    """
    if len({job.id for job in (*jobs, *others)}) != len(jobs) + len(others):
        raise ConfigError("two jobs of a session have the same id")
    if quiet_level_us is not None and quiet_level_us <= 0:
        raise ConfigError(
            f"a probe cannot have taken {quiet_level_us} us when the device was quiet; leave the level out where it is unknown"
        )
    device = read_hello(channel, runtimes=(runtime,), silence_s=silence_s)
    found = device.runtimes.get(runtime)
    if found is None or found.version is None:
        raise DeviceError(f"runtime '{runtime}' is not usable on this device: {found.reason if found else 'the agent does not know it'}")
    if needs is not None:
        require_readable(found, needs, runtime=runtime)
    if on_device is not None:
        on_device(device)
    listener = _Listener(channel, jobs, others, plan, device, on_measured=on_measured, on_progress=on_progress, on_busy=on_busy)
    wait = Attention(channel, timeout_s=MAX_TURN_S, silence_s=silence_s).idle
    with (together or Together()).turn(cores_of(device, plan, threads=threads), wait=wait):
        _ask(channel, jobs, others, plan, runtime=runtime, threads=threads, probe=probe, reference=reference, quiet_level_us=quiet_level_us)
        return listener.listen(silence_s=silence_s)


def stale(levels_us: Mapping[str, float], quiet_level_us: float) -> tuple[str, ...]:
    """Ids measured at another speed of the device than ``quiet_level_us``: measure them again before using them with the others."""
    return tuple(key for key, level in levels_us.items() if not 1 / BAND <= level / quiet_level_us <= BAND)


def _ask(
    channel: Channel,
    jobs: Sequence[Job],
    others: Sequence[Job],
    plan: MeasurePlan,
    *,
    runtime: str,
    threads: int,
    probe: Path,
    reference: Path,
    quiet_level_us: float | None,
) -> None:
    sent = asdict(plan)
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
    for number, job in enumerate((*jobs, *others)):
        message = {"type": "job", "id": job.id, "path": channel.push(job.path, f"{number}{job.path.suffix}")}
        channel.send(message if number < len(jobs) else {**message, "only_busy": True})
    channel.send({"type": "start", "jobs": len(jobs) + len(others)})


class _Listener:
    """The host's side from ``start`` to ``done``: keeps the heartbeat, checks what comes, hands results on."""

    def __init__(
        self,
        channel: Channel,
        jobs: Iterable[Job],
        others: Iterable[Job],
        plan: MeasurePlan,
        device: DeviceReport,
        *,
        on_measured: OnMeasured,
        on_progress: OnProgress | None,
        on_busy: OnBusy | None,
    ) -> None:
        self._channel = channel
        self._plan = plan
        self._least = min(plan.least_repeats, plan.min_repeats)
        self._device = device
        self._on_measured = on_measured
        self._on_progress = on_progress
        self._on_busy = on_busy
        self._wanted = {job.id for job in jobs}
        self._others = {job.id for job in others}
        self._busy: dict[str, Message] = {}
        self._measured: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._wide: set[str] = set()
        self._ready: Message | None = None
        self._begin = time.monotonic()

    def listen(self, *, silence_s: float | None = None) -> SessionSummary:
        """Until ``done``, or until a deadline passes."""
        self._begin = time.monotonic()
        timeout_s = self._plan.max_seconds + self._plan.heat_s + GRACE_S
        attention = Attention(self._channel, timeout_s=timeout_s, silence_s=silence_s)
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
        elif kind == "busy":
            self._sampled_busy(message)
        elif kind == "failed":
            self._failed[self._known(message["id"], also=self._others)] = printable(message["reason"], 600)
        elif kind == "progress" and self._on_progress is not None:
            fields = {key: message[key] for key in ("finished", "accepted", "wanted", "quiet_share")}
            self._on_progress(Progress(**fields, elapsed_s=time.monotonic() - self._begin))
        elif kind != "progress":
            raise ProtocolError(f"the agent sends '{kind}' in the middle of a session")

    def _known(self, key: str, *, also: Collection[str] = ()) -> str:
        if key not in self._wanted and key not in also:
            raise ProtocolError(f"the agent reports on '{printable(key, 80)}', which it was never asked for")
        return key

    def _result(self, message: Message) -> None:
        key = self._known(message["id"], also=self._others)
        if self._ready is None:
            raise ProtocolError("the agent sends results before it is ready")
        if key in self._others:  # from one that does not know of busy rounds
            return
        if len(message["quiet_ms"]) < self._least or not message["typical_ms"]:
            raise ProtocolError(f"the agent calls '{key}' finished with {len(message['quiet_ms'])} of {self._least} samples")
        self._measured[key] = self._measured.get(key, 0) + 1
        if self._measured[key] > MOST_RESULTS:
            raise ProtocolError(f"the agent reports on '{key}' again and again")
        regimes = measurements(message, self._plan, ready=self._ready)
        self._wide.discard(key)
        if any(m.facts.get("wide") for m in regimes.values()):
            self._wide.add(key)
        self._on_measured(key, regimes)

    def _sampled_busy(self, message: Message) -> None:
        key = self._known(message["id"], also=self._others)
        if key in self._busy or len(message["busy_ms"]) != len(message["at_s"]) or not message["busy_ms"]:
            raise ProtocolError(f"the agent's busy samples of '{key}' come twice, or without their times")
        self._busy[key] = message

    def _done(self, message: Message) -> SessionSummary:
        if self._ready is None:
            raise ProtocolError("the agent is done before it is ready")
        if self._failed:
            key, reason = next(iter(self._failed.items()))
            raise DeviceError(f"{len(self._failed)} of {len(self._wanted)} models do not run on the device, first {key}: {reason}")
        summary = summary_of(
            message, ready=self._ready, measured=tuple(self._measured), wide=tuple(sorted(self._wide)), device=self._device
        )
        if message["short"] > 0:
            raise TooNoisy(f"{self._evidence(message)}; {self._as_busy(summary, self._ready)}")
        if self._measured.keys() != self._wanted:
            raise ProtocolError(f"the agent is done with {len(self._measured)} of {len(self._wanted)} models measured")
        return summary

    def _as_busy(self, summary: SessionSummary, ready: Message) -> str:
        """Hand on what the device gave while it was busy, if that is all and precise enough; in words."""
        if self._busy.keys() != self._wanted | self._others:
            return "run again when less else runs there, or give the plan more max_seconds"
        try:
            times = busy_measurements(self._busy, self._plan, ready=ready)
        except TooNoisy as problem:
            return f"as a busy device it is not known either: {problem}; run again when less else runs there"
        if self._on_busy is not None:
            self._on_busy(times, summary)
        return f"what all {len(times)} models take while it is busy is known, and is another regime"

    def _evidence(self, done: Message) -> str:
        share = "none" if done["quiet_share"] is None else f"{done['quiet_share']:.0%}"
        level = "unknown" if done["quiet_level_us"] is None else f"{done['quiet_level_us']:.1f} us"
        return (
            f"{done['short']} of {len(self._wanted)} models have fewer than {self._least} quiet samples after"
            f" {done['seconds']:.0f} s (fewest {done['fewest']}); the device was quiet for {share} of the time"
            f" (probe level {level}); finished ones are kept"
        )

    def _so_far(self) -> str:
        return f"{len(self._measured)} of {len(self._wanted)} models were measured and are kept"
