"""Stage: time the exported files on the device again, and say whether each keeps its budget.

A few networks of the table are timed in the same session: by how much they differ from the table is how much the device has changed since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwnas.core.arch import Architecture
from hwnas.core.device import Measurement
from hwnas.core.result import Artifact
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import Rig
from hwnas.pipeline.goals import Target
from hwnas.pipeline.profiling import Profile, conditions_of, model_files, networks_to_measure, plan_of, reference_of
from hwnas.pipeline.timings import TimedModel, quiet_levels_us, timed
from hwnas.profiler.session import stale
from hwnas.store.journal import Journal

ANCHORS = 4
VERIFY_REPEATS = 60


@dataclass(frozen=True, slots=True)
class Timing:
    """One statistic of one file on the device, in both regimes, with the interval of the one that the budget is about."""

    quiet: Measurement
    typical: Measurement
    regime: str
    statistic: str

    @property
    def measured_ms(self) -> float:
        """The statistic in the budget's regime."""
        return self._of(self.regime).quantile_ms(self.statistic)

    @property
    def interval_ms(self) -> tuple[float, float]:
        """Its 95 % interval."""
        return self._of(self.regime).interval_ms(self.statistic)

    @property
    def typical_ms(self) -> float:
        """The statistic over everything that was sampled, disturbed or not."""
        return self.typical.quantile_ms(self.statistic)

    def within(self, budget_ms: float) -> bool:
        """Whether the whole interval lies within the budget: a file that keeps it only by luck is not shipped."""
        return self.interval_ms[1] <= budget_ms

    def _of(self, regime: str) -> Measurement:
        return self.quiet if regime == "quiet" else self.typical


@dataclass(frozen=True)
class Bench:
    """Times files of one profile's target, everything through one journal."""

    ctx: Context
    profile: Profile
    journal: Journal

    def time(self, artifacts: Sequence[Artifact], *, statistic: str, regime: str) -> dict[str, Timing]:
        """Timings by the files' SHA-256."""
        out: dict[str, Timing] = {}
        for precision in sorted({a.precision for a in artifacts}):
            group = [a for a in artifacts if a.precision == precision]
            timings = self._session(replace(self.profile.target, precision=precision), group)
            for artifact in group:
                regimes = timings[f"file:{artifact.sha256}"]
                out[artifact.sha256] = Timing(regimes["quiet"], regimes["typical"], regime, statistic)
        return out

    def _session(self, target: Target, artifacts: Sequence[Artifact]) -> Mapping[str, Mapping[str, Measurement]]:
        files = model_files(self.ctx, self.profile.target)
        anchors = [files.network(arch) for arch in self._anchors()]
        models = [TimedModel(f"file:{a.sha256}", Path(a.path)) for a in artifacts]
        plan = plan_of(self.ctx)
        plan = replace(plan, min_repeats=max(plan.min_repeats, VERIFY_REPEATS))
        rig = Rig(target, files.probe(), reference_of(self.ctx, files), plan, quiet_level_us=self.profile.quiet_level_us)
        title = f"time exported files on {target.label}"
        conditions = conditions_of(target, "verify")
        return timed(conditions, [*anchors, *models], self.journal, measure=rig.measure(self.ctx, title), replay=self.ctx.replay)

    def _anchors(self) -> list[Architecture]:
        return networks_to_measure(self.ctx)[1 : 1 + ANCHORS]

    def faster_us(self) -> float | None:
        """The quiet level of the probe while files were timed, where it shows a faster device than the table's; otherwise None."""
        table = self.profile.quiet_level_us
        seen = quiet_levels_us(conditions_of(self.profile.target, "verify"), self.journal)
        if table is None or not seen or not stale({"table": table}, min(seen.values())):
            return None
        return min(seen.values()) if min(seen.values()) < table else None

    def drift(self) -> float | None:
        """How much slower the device was when files were timed than when the table was measured: median ratio of the anchors, minus 1."""
        conditions = conditions_of(self.profile.target, "verify")
        table = self.profile.tables["quiet"]
        ratios = []
        for record in self.journal.records:
            if record.get("kind") == "timing" and record.get("conditions") == conditions.id and record["key"] in table.networks:
                samples = record["regimes"]["quiet"]["samples_ms"]
                ratios.append(float(np.median(samples)) / table.networks[record["key"]].measurement.quantile_ms("p50"))
        return float(np.median(ratios)) - 1 if ratios else None
