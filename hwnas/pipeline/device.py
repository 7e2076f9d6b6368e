"""Timing models on a device: launch its agent, hand it the models, journal what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwnas.core.device import MeasurePlan
from hwnas.core.serial import plain
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.timings import Regimes, TimedModel
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.session import Job, run_session


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
            done = 0
            with ctx.reporter.stage(title, len(models)) as advance, LAUNCHERS.get(device.transport)(device).launch() as channel:

                def measured(key: str, regimes: Regimes) -> None:
                    nonlocal done
                    keep(key, regimes)
                    done += 1
                    advance(done, key)

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
                )
            return dict(plain(summary))

        return measure
