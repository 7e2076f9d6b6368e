"""Stage: time the exported files on the device again, and say whether each keeps its budget.

A few networks of the table are timed in every session: by how much they differ from the table is how much the device has changed since.
Timings that were made at another speed of the device than the table's are not believed: budgets and predictions are of the table's speed.
Where the device is too busy to be timed at it, networks of the table bring the busy timings over (`hwnas.pipeline.anchored`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwnas.core.device import Measurement, MeasurePlan, samples_needed
from hwnas.core.errors import DeviceFaster, TooNoisy, Unreachable
from hwnas.core.result import Artifact
from hwnas.pipeline.anchored import STATISTIC, anchored_error, anchors_of, brought_over
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import Rig
from hwnas.pipeline.modelfiles import ModelFiles
from hwnas.pipeline.profile import Profile
from hwnas.pipeline.refresh import note_changes
from hwnas.pipeline.targets import conditions_of, model_files, networks_to_measure, plan_of, reference_of
from hwnas.pipeline.timings import Conditions, TimedModel, note_timing, note_untimed, quiet_levels_us, timed, timed_keys
from hwnas.profiler.session import stale
from hwnas.store.journal import Journal

CHECKS = 4
"""Networks of the table that are timed in every session, to see whether the device has changed since."""
VERIFY_REPEATS = 60
TAIL_REL_CI = 0.10
QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Timing:
    """One statistic of one file on the device, in both regimes, with the interval of the one that the budget is about."""

    quiet: Measurement | None
    typical: Measurement
    regime: str
    statistic: str

    @property
    def measured_ms(self) -> float:
        """The statistic in the budget's regime."""
        return self._of(self.regime).quantile_ms(self.statistic)

    @property
    def interval_ms(self) -> tuple[float, float]:
        """Its 95 % interval; wider by what a busy device's timing may be off after it was brought to this regime."""
        low, high = self._of(self.regime).interval_ms(self.statistic)
        off = self.anchored_error or 0.0
        return low / (1 + off), high * (1 + off)

    @property
    def anchored_error(self) -> float | None:
        """By what share a busy device's timing may be off after it was brought to this regime; None where that was not needed."""
        return anchored_error(self._of(self.regime))

    @property
    def typical_ms(self) -> float:
        """The statistic over the first attempt of every visit, disturbed or not."""
        return self.typical.quantile_ms(self.statistic)

    def within(self, budget_ms: float) -> bool:
        """Whether the whole interval lies within the budget: a file that keeps it only by luck is not shipped."""
        return self.interval_ms[1] <= budget_ms

    def _of(self, regime: str) -> Measurement:
        return self.quiet if regime == "quiet" and self.quiet is not None else self.typical


@dataclass(frozen=True)
class Bench:
    """Times files of one profile's target, everything through one journal.

    With ``hold`` a device that proves faster than its table raises `DeviceFaster`. An accepted table is not held to: it is of another day.
    ``away_will_do``: files of a device that cannot be reached may be left unmeasured, which who deploys them has to say.
    """

    ctx: Context
    profile: Profile
    journal: Journal
    hold: bool = True
    away_will_do: bool = False

    def time(self, artifacts: Sequence[Artifact], *, statistic: str, regime: str) -> dict[str, Timing]:
        """Timings by the files' SHA-256. Where the device is too busy `TooNoisy` is raised, and in a replay again."""
        out: dict[str, Timing] = {}
        for precision in sorted({a.precision for a in artifacts}):
            group = [a for a in artifacts if a.precision == precision]
            timings = self._session(self._conditions(precision, statistic), group, regime=regime)
            for artifact in group:
                regimes = timings[f"file:{artifact.sha256}"]
                out[artifact.sha256] = Timing(regimes.get("quiet"), regimes["typical"], regime, statistic)
        return out

    def timed_before(self, artifacts: Sequence[Artifact], *, statistic: str, regime: str) -> dict[str, Timing]:
        """Those of the timings that were made already; the device is not needed for them."""
        known = [a for a in artifacts if f"file:{a.sha256}" in timed_keys(self._conditions(a.precision, statistic), self.journal)]
        try:
            return self.time(known, statistic=statistic, regime=regime)
        except Unreachable:  # they were timed at another speed of the device than its table's
            return {}

    def _conditions(self, precision: str, statistic: str) -> Conditions:
        return conditions_of(replace(self.profile.target, precision=precision), f"verify {statistic}")

    def _session(self, conditions: Conditions, artifacts: Sequence[Artifact], *, regime: str) -> Mapping[str, Mapping[str, Measurement]]:
        files = model_files(self.ctx, self.profile.target, self.profile.level)
        models = [TimedModel(f"file:{a.sha256}", Path(a.path)) for a in artifacts]
        checks = [files.network(arch) for arch in networks_to_measure(self.ctx)[1 : 1 + CHECKS]]
        if self.ctx.replay is not None:  # a busy session has none
            checks = [model for model in checks if self.ctx.replay.has(conditions.id, model.key)]
        self._untimed_then(conditions, models)
        again = self._off_speed(conditions, models)
        missing = {m.key for m in models} - timed_keys(conditions, self.journal)
        if self.ctx.replay is None and (again or missing):
            again = [*again, *(m.key for m in checks)]
        busy: list[Mapping[str, Measurement]] = []
        rig = self._rig(conditions, files)
        if self._comparable(conditions, regime):
            anchors = [files.network(arch) for arch in anchors_of(self.profile.tables[regime], self.ctx.space.id)]
            rig = replace(rig, models=(*models, *checks, *anchors), on_busy=lambda times, _: busy.append(times))
        measure = rig.measure(self.ctx, f"time exported files on {rig.target.label}")
        try:
            timings = timed(conditions, [*checks, *models], self.journal, measure=measure, replay=self.ctx.replay, again=again)
        except TooNoisy as problem:
            if not busy:
                note_untimed(conditions, self.journal, missing, str(problem))
                raise
            self._bring_over(conditions, busy[-1], problem)
            timings = timed(conditions, models, self.journal, measure=measure)
        off = self._off_speed(conditions, models)
        if off:
            levels = quiet_levels_us(conditions, self.journal)
            other = self._other_speed(min(levels[key] for key in off))
            if not isinstance(other, DeviceFaster):
                note_untimed(conditions, self.journal, off, str(other))
            raise other
        return timings

    def _comparable(self, conditions: Conditions, regime: str) -> bool:
        """Whether networks of the table are of the files' kind: what a busy device does to 8-bit files is another thing."""
        return regime == QUIET and conditions.precision == self.profile.target.precision and conditions.purpose.endswith(f" {STATISTIC}")

    def _untimed_then(self, conditions: Conditions, models: Sequence[TimedModel]) -> None:
        """In a replay, raise what the recorded run met where it has no timing of a model."""
        recorded = {} if self.ctx.replay is None else self.ctx.replay.untimed
        for model in models:
            reason = recorded.get((conditions.id, model.key))
            if reason is not None:
                note_untimed(conditions, self.journal, [model.key], reason)
                raise TooNoisy(reason)

    def _rig(self, conditions: Conditions, files: ModelFiles) -> Rig:
        return Rig(
            replace(self.profile.target, precision=conditions.precision),
            files.probe(),
            reference_of(self.ctx, files),
            self._plan(conditions.purpose.rpartition(" ")[2]),
            quiet_level_us=self.profile.quiet_level_us,
            level=self.profile.level,
            on_identity=lambda now: note_changes(self.ctx, self.profile, now),
        )

    def _bring_over(self, conditions: Conditions, times: Mapping[str, Measurement], problem: TooNoisy) -> None:
        """Keep what files take on a busy device as what they would take on a quiet one; `TooNoisy` where that cannot be told."""
        try:
            found, regimes = brought_over(times, self.profile.tables[QUIET])
        except TooNoisy as why:
            raise TooNoisy(f"{problem}; {why}") from None
        for key, one in regimes.items():
            note_timing(conditions, self.journal, key, one)
        self.ctx.reporter.note(
            f"{self.profile.target.label}: the device is busy; its timings are brought to the quiet state of its table by "
            f"{len(found.anchors)} networks, each up to {100 * found.worst:.1f} % off when brought over by the others"
        )

    def _plan(self, statistic: str) -> MeasurePlan:
        """Enough samples for an interval of the statistic, and some more; single calls where it is about the slow ones among them.

        A sample of a quick model is otherwise a mean of several calls, whose median is that of the calls but whose p99 is not theirs.
        """
        plan, needed = plan_of(self.ctx), samples_needed(statistic)
        wanted = max(plan.min_repeats, VERIFY_REPEATS, needed + needed // 10)
        shortest_us = plan.min_sample_us if statistic == "p50" else 0.0
        # tails are not as sharp as medians: a plan that wanted them to be would end at its cap each time
        reach = plan.max_rel_ci if statistic == "p50" else max(plan.max_rel_ci, TAIL_REL_CI)
        least = max(plan.least_repeats, needed)
        return replace(plan, min_repeats=wanted, least_repeats=least, min_sample_us=shortest_us, statistic=statistic, max_rel_ci=reach)

    def _off_speed(self, conditions: Conditions, models: Sequence[TimedModel]) -> Sequence[str]:
        """Which of the models were timed at another speed than the table's."""
        table = self.profile.quiet_level_us
        if not self.hold or table is None or self.profile.journal is None or self.ctx.replay is not None:
            return ()
        levels = quiet_levels_us(conditions, self.journal)
        return stale({m.key: levels[m.key] for m in models if m.key in levels}, table)

    def _other_speed(self, quiet_level_us: float) -> TooNoisy:
        """What to raise where files were timed at a speed that is not the table's: only a faster one makes it worth measuring again."""
        table_us = self.profile.quiet_level_us or 0.0
        levels = f"probe {quiet_level_us:.1f} us, then {table_us:.1f}"
        if quiet_level_us > table_us:
            slower = f"{self.profile.target.label}: the device runs slower than when its table was measured ({levels})"
            return TooNoisy(f"{slower}; run again when less else runs there")
        return DeviceFaster(
            f"{self.profile.target.label}: the device runs faster than when its table was measured ({levels}), and does not stay "
            "at either speed; run again when less else runs there",
            what=self.profile.target,
            quiet_level_us=quiet_level_us,
        )

    def drift(self, *, statistic: str) -> float | None:
        """How much slower the device was in the last session than when the table was measured: median ratio of the checks, minus 1."""
        conditions = self._conditions(self.profile.target.precision, statistic)
        regime = self.profile.regime
        known = self.profile.tables[regime].networks
        timings = {r["key"]: r for r in self.journal.records if r.get("kind") == "timing" and r.get("conditions") == conditions.id}
        ratios = [
            float(np.median(record["regimes"][regime]["samples_ms"])) / known[key].measurement.quantile_ms("p50")
            for key, record in timings.items()
            if key in known
        ]
        return float(np.median(ratios)) - 1 if ratios else None
