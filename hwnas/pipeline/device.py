"""Timing models on a device: launch its agent, hand it the models, journal what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwnas.core.device import Device, MeasurePlan
from hwnas.core.serial import plain
from hwnas.pipeline.context import Context
from hwnas.pipeline.forecast import forecast
from hwnas.pipeline.goals import Target
from hwnas.pipeline.reporter import Advance
from hwnas.pipeline.timings import Regimes, TimedModel
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.native import measure_native
from hwnas.profiler.session import Job, Progress, run_session


@dataclass(frozen=True, slots=True)
class Rig:
    """What a session needs besides the models: the probe and the reference of the runtime, and the plan."""

    target: Target
    probe: Path
    reference: Path
    plan: MeasurePlan
    quiet_level_us: float | None = None

    def measure(self, ctx: Context, title: str) -> Callable[[Sequence[TimedModel], Callable[[str, Regimes], None]], Mapping[str, Any]]:
        """A `hwnas.pipeline.timings.Measure` that talks to the device."""

        def measure(models: Sequence[TimedModel], keep: Callable[[str, Regimes], None]) -> Mapping[str, Any]:
            device = ctx.workspace.device(self.target.device)
            plan = replace(self.plan, seed=ctx.config.seed)
            ahead = forecast(ctx.space, models, plan) if device.native is None else None
            if ahead is not None:
                ctx.reporter.expect(f"{title}: {ahead}")
            if device.native is not None:
                return self._native(ctx, title, device, models, plan, keep)
            with ctx.reporter.stage(title, len(models)) as advance, LAUNCHERS.get(device.transport)(device).launch() as channel:
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
                    on_measured=measured,
                    on_progress=gauge.progress,
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
        keep: Callable[[str, Regimes], None],
    ) -> Mapping[str, Any]:
        """The same with the device's benchmark program, which is no agent and so has no channel."""
        with ctx.reporter.stage(title, len(models)) as advance:
            gauge = _Gauge(advance, len(models))

            def measured(key: str, regimes: Regimes) -> None:
                keep(key, regimes)
                gauge.measured(key)

            summary = measure_native(
                device,
                [Job(m.key, m.path) for m in models],
                plan,
                threads=self.target.threads,
                reference=self.reference,
                on_measured=measured,
                on_progress=gauge.progress,
            )
        return dict(plain(summary))


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
