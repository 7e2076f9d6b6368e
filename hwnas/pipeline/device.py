"""Timing models on a device: launch its agent, hand it the models, journal what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwnas.core.device import Device, MeasurePlan
from hwnas.core.errors import DeviceChanged
from hwnas.core.serial import plain
from hwnas.export.level import DEFAULT, OnnxLevel
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.identity import Identity
from hwnas.pipeline.levels import reads_onnx
from hwnas.pipeline.reporter import Advance
from hwnas.pipeline.timings import Keep, Measure, Meet, Regimes, TimedModel
from hwnas.profiler.channel import LAUNCHERS, Channel
from hwnas.profiler.check import DeviceReport, read_hello
from hwnas.profiler.native import measure_native
from hwnas.profiler.nativetools import Burst
from hwnas.profiler.session import Job, OnBusy, OnDevice, run_session
from hwnas.profiler.summary import Progress
from hwnas.profiler.together import StoppableChannel


@dataclass(frozen=True, slots=True)
class Rig:
    """What a session needs besides the models: the probe and the reference of the runtime, the plan, and which ONNX the
    device must read.

    ``on_identity`` hears what the device is before it measures. Where it is never quiet, ``on_busy`` gets what all ``models`` take while it
    is busy, those included whose quiet times are known already.
    """

    target: Target
    probe: Path
    reference: Path
    plan: MeasurePlan
    quiet_level_us: float | None = None
    level: OnnxLevel = DEFAULT
    on_identity: Callable[[Identity], None] = lambda _: None
    models: Sequence[TimedModel] = ()
    on_busy: OnBusy | None = None

    def measure(self, ctx: Context, title: str) -> Measure:
        """A `hwnas.pipeline.timings.Measure` that talks to the device."""

        def measure(models: Sequence[TimedModel], keep: Keep, meet: Meet) -> Mapping[str, Any]:
            device = ctx.workspace.device(self.target.device)
            plan = replace(self.plan, seed=ctx.config.seed, affinity=device.cores)

            def met(report: DeviceReport) -> None:
                identity = Identity.of(report, self.target.runtime)
                self.on_identity(identity)
                try:
                    meet(identity)
                except DeviceChanged as change:
                    ctx.reporter.note(f"{title}: the device has changed ({change}); what was measured before is measured again")
                    raise

            if device.native is not None:
                return self._native(ctx, title, device, models, plan, keep, met)
            with ctx.reporter.stage(title, len(models)) as advance, _channel(ctx, device) as channel:
                gauge = _Gauge(advance, len(models))

                def measured(key: str, regimes: Regimes) -> None:
                    keep(key, regimes)
                    gauge.measured(key)

                summary = run_session(
                    channel,
                    [Job(m.key, m.path) for m in models],
                    plan,
                    runtime=self.target.runtime,
                    threads=self.target.threads,
                    probe=self.probe,
                    reference=self.reference,
                    quiet_level_us=self.quiet_level_us,
                    needs=(self.level.ir_version, self.level.opset) if reads_onnx(self.target) else None,
                    on_measured=measured,
                    on_progress=gauge.progress,
                    others=[Job(m.key, m.path) for m in self.models if m not in models] if self.on_busy is not None else (),
                    on_busy=self.on_busy,
                    on_device=met,
                    together=ctx.together,
                )
            return dict(plain(summary))

        return measure

    def _native(
        self,
        ctx: Context,
        title: str,
        device: Device,
        models: Sequence[TimedModel],
        plan: MeasurePlan,
        keep: Keep,
        met: OnDevice,
    ) -> Mapping[str, Any]:
        """The same with the device's benchmark program, which is no agent and so has no channel."""
        with ctx.reporter.stage(title, len(models)) as advance:
            gauge = _Gauge(advance, len(models))

            def measured(key: str, regimes: Regimes) -> None:
                keep(key, regimes)
                gauge.measured(key)

            def burst(key: str, found: Burst) -> None:
                keep.burst(key, found)
                ctx.together.check()

            summary = measure_native(
                device,
                [Job(m.key, m.path) for m in models],
                plan,
                threads=self.target.threads,
                reference=self.reference,
                kept=keep.bursts(),
                on_measured=measured,
                on_burst=burst,
                on_progress=gauge.progress,
                on_device=met,
            )
        return dict(plain(summary))


def ask(ctx: Context, target: Target) -> Identity:
    """What a target's device is now; it is started for that, and measures nothing."""
    device = ctx.workspace.device(target.device)
    with _channel(ctx, device) as channel:
        return Identity.of(read_hello(channel, runtimes=(target.runtime,)), target.runtime)


def _channel(ctx: Context, device: Device) -> Channel:
    ctx.together.check()
    return StoppableChannel(LAUNCHERS.get(device.transport)(device).launch(), ctx.together)


class _Gauge:
    """How far a session is, in models: a model counts in proportion to the samples that it has.

    It never goes back, also where models lose their samples and are measured again.
    """

    def __init__(self, advance: Advance, models: int) -> None:
        self._advance = advance
        self._models = models
        self._keys: set[str] = set()
        self._done = 0.0
        self._text = ""

    def measured(self, key: str) -> None:
        """A model is finished."""
        self._keys.add(key)
        self._show(len(self._keys))

    def progress(self, progress: Progress) -> None:
        """The agent says how many samples it has."""
        if progress.quiet_share is not None:
            self._text = f"quiet {progress.quiet_share:.0%} of the time"
        self._show(self._models * min(1.0, progress.accepted / max(progress.wanted, 1)))

    def _show(self, done: float) -> None:
        self._done = max(self._done, done)
        self._advance(self._done, self._text)
