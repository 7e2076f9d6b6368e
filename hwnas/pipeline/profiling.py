"""Stage: a latency table of one target and the predictor that it gives. An accepted table is used where there is a complete one.

The steps are apart, so that several devices can be profiled at once (`hwnas.pipeline.fleet`): what is there is found, models are written,
the device measures, the result is published.

A profile is of the regimes ``quiet`` and ``typical``. One of a device that is kept hot is ``sustained``, a stage of its own. One of a
device that was never quiet while it was measured is ``busy``, where that will do; the next session looks for quiet again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from hwnas.core.access import NativeOptions
from hwnas.core.arch import Architecture
from hwnas.core.device import Device, Measurement, MeasurePlan
from hwnas.core.errors import ConfigError, TooNoisy
from hwnas.core.serial import plain, sha256_file, write_atomic
from hwnas.latency.table import LatencyTable
from hwnas.latency.tablefile import read_table, samples_path, write_table
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import Rig
from hwnas.pipeline.goals import Target
from hwnas.pipeline.levels import level_facts, level_of
from hwnas.pipeline.modelfiles import CODE as MODEL_CODE
from hwnas.pipeline.profile import Profile, accepted_profile, publish, publish_predictors, table_file, table_of
from hwnas.pipeline.targets import conditions_of, model_files, networks_to_measure, plan_of, reference_of
from hwnas.pipeline.timings import (
    Conditions,
    Keep,
    Meet,
    Regimes,
    TimedModel,
    bursts_of,
    identity_of,
    note_speed,
    note_timing,
    noted_speeds_us,
    quiet_levels_us,
    session_facts,
    timed,
    timed_keys,
)
from hwnas.profiler.session import OnBusy, stale
from hwnas.profiler.summary import SessionSummary
from hwnas.space.family import blockwise
from hwnas.store.journal import Journal
from hwnas.store.stages import Stage

T = TypeVar("T")

CODE = ("hwnas.profiler.session", "hwnas.profiler.native", "hwnas_agent.__main__", *MODEL_CODE)
GLUE = (__name__, "hwnas.pipeline.targets", "hwnas.pipeline.profile")
JOURNAL = "journal.jsonl"
AGAIN = "again.jsonl"
"""The journal of measuring again at a faster speed, until that is done and it takes the place of the first."""
ANEW = "anew.jsonl"
"""The journal of a profile that the user wants measured anew, until that is done and it takes the place of the first."""
MAX_SESSIONS = 3


@dataclass(frozen=True, slots=True)
class Work:
    """A target whose models are written, and that is to be measured: what ``journal`` lacks of ``models``, for tables of ``regimes``.

    With ``busy_will_do`` a device that is never quiet gives a profile of that state; without, it is too noisy.
    """

    target: Target
    stage: Stage
    journal: Journal
    models: tuple[TimedModel, ...]
    networks: tuple[Architecture, ...]
    rig: Rig
    regimes: tuple[str, ...]
    busy_will_do: bool = False

    @property
    def sustained(self) -> bool:
        """Whether the device is kept hot."""
        return self.rig.plan.heat_s > 0

    @property
    def title(self) -> str:
        """As progress names it."""
        return f"profile {self.target.label}{' hot' * self.sustained}"

    @property
    def conditions(self) -> Conditions:
        """Under which its models are timed."""
        return _conditions(self.target, self.rig.plan)

    def missing(self) -> tuple[TimedModel, ...]:
        """Models without a timing."""
        timed_ones = timed_keys(self.conditions, self.journal)
        return tuple(m for m in self.models if m.key not in timed_ones)

    def bursts(self) -> dict[str, int]:
        """How many bursts of a benchmark program there are of which no timing is made yet, by model."""
        return {key: len(bursts) for key, bursts in bursts_of(self.conditions, self.journal).items()}


def regimes_of(device: Device, *, sustained: bool) -> tuple[str, ...]:
    """What a profile of ``device`` has tables of; `ConfigError` where it cannot be kept hot."""
    if sustained and device.native is not None:
        raise ConfigError(f"{device.id}: {device.native.tool} cannot keep a device hot; leave --sustained out")
    return ("sustained",) if sustained else device.regimes


def found(ctx: Context, target: Target, *, accepted: bool, sustained: bool = False) -> Profile | None:
    """A profile that is there: one that was accepted, where ``accepted`` ones will do, or one that this workspace measured earlier.

    A replay takes its own recording first.
    """
    recorded = ctx.replay is not None and ctx.replay.holds(conditions_of(target, "table").id)
    profile = accepted_profile(ctx, target) if accepted and not recorded else None
    if profile is not None:
        ctx.reporter.reused(f"profile {target.label} (accepted table)")
        return profile
    plan = plan_of(ctx, sustained=sustained)
    stage = _stage(ctx, target, plan)
    if not stage.done:
        return None
    ctx.reporter.reused(f"profile {target.label}{' hot' * sustained}")
    return _profile(target, stage, regimes_of(ctx.workspace.device(target.device), sustained=sustained))


def prepared(ctx: Context, target: Target, *, anew: bool = False, sustained: bool = False, busy_will_do: bool = False) -> Work:
    """Write the models that a target is measured by; ``anew`` counts no timings but those of an earlier ``anew`` that was interrupted."""
    plan = plan_of(ctx, sustained=sustained)
    stage = _stage(ctx, target, plan)
    work = _work(ctx, target, stage, Journal(stage.folder / (ANEW if anew else JOURNAL)), plan)
    return replace(work, busy_will_do=busy_will_do)


def asked(ctx: Context, target: Target, *, anew: bool = False, sustained: bool = False) -> None:
    """Note in a profile's journal which ONNX its device reads, so that `prepared` needs no device."""
    plan = plan_of(ctx, sustained=sustained)
    journal = Journal(_stage(ctx, target, plan).folder / (ANEW if anew else JOURNAL))
    level_of(ctx, target, _conditions(target, plan), journal)


def worked(ctx: Context, work: Work) -> Profile:
    """Measure what is missing and write the tables; the profile that was there is replaced at the end, all at once."""
    busy: list[tuple[Mapping[str, Measurement], SessionSummary]] = []
    try:
        timings = _one_speed(ctx, replace(work, rig=_listening(work, lambda *told: busy.append(told))))
    except TooNoisy as problem:
        if not busy:
            raise
        ctx.reporter.note(f"{work.target.label}: {problem}; 'hwnas profile {work.target.device}' looks for quiet again")
        return _busy_profile(ctx, work, *busy[-1])
    facts = _facts(work)
    work.stage.reopen()  # killed from here on, the next run writes the tables from the journal
    work.journal.path.replace(work.stage.folder / JOURNAL)
    tables = [table_of(work.target, r, timings, work.networks, facts, plan=work.rig.plan) for r in work.regimes]
    return _written(work.target, work.stage, tables)


def _listening(work: Work, on_busy: OnBusy) -> Rig:
    """The rig of a session that may turn out busy, where that will do."""
    return replace(work.rig, models=work.models, on_busy=on_busy) if work.busy_will_do and not work.sustained else work.rig


def _facts(work: Work) -> dict[str, object]:
    identity = identity_of(work.conditions, work.journal)
    known = {} if identity is None else identity.facts()
    return {**session_facts(work.conditions, work.journal), **known, **level_facts(work.target, work.rig.level)}


def _busy_profile(ctx: Context, work: Work, times: Mapping[str, Measurement], summary: SessionSummary) -> Profile:
    """The table of a device that was never quiet, with a journal of its own."""
    stage = _stage(ctx, work.target, work.rig.plan, name="profile-busy")
    stage.reopen()
    journal, conditions = Journal(stage.folder / JOURNAL), conditions_of(work.target, "busy")
    timings = {key: {"busy": measured} for key, measured in times.items()}
    for key, regimes in timings.items():
        note_timing(conditions, journal, key, regimes)
    facts = {**_facts(work), **plain(summary)}
    return _written(work.target, stage, [table_of(work.target, "busy", timings, work.networks, facts, plan=work.rig.plan)])


def _written(target: Target, stage: Stage, tables: Sequence[LatencyTable]) -> Profile:
    """The stage with its tables in it, finished."""
    names = []
    for table in tables:
        path = write_table(table, stage.folder)
        names += [str(p.relative_to(stage.folder)) for p in (path, samples_path(path))]
    stage.finish(*names)
    return _profile(target, stage, [table.regime for table in tables])


def published(ctx: Context, profile: Profile) -> Profile:
    """Show a profile's tables and predictors to the other commands."""
    if profile.journal is None:
        publish_predictors(ctx, profile)
    elif ctx.replay is None:  # what is found there is of this device, now
        publish(ctx, profile)
    return profile


def profiled(ctx: Context, target: Target) -> Profile:
    """The profile of a target for a run: an accepted table, or one that this workspace measures, now or earlier."""
    profile = found(ctx, target, accepted=True)
    return published(ctx, worked(ctx, prepared(ctx, target)) if profile is None else profile)


def measured_again(ctx: Context, profile: Profile, *, quiet_level_us: float) -> None:
    """Measure a profile again at a faster speed that the device has shown since.

    Where that speed does not last, table and journal stay as they were, and are still true of the speed at which they were measured.
    """
    target = profile.target
    if profile.journal is None:
        raise ConfigError(f"{target.label}: an accepted table is not measured again by itself; run 'hwnas profile {target.device}'")
    again = Journal(profile.journal.with_name(AGAIN))
    if not again.records:
        write_atomic(again.path, profile.journal.read_bytes())
        again = Journal(again.path)
    note_speed(conditions_of(target, "table"), again, quiet_level_us)
    ctx.reporter.note(f"{target.label}: the device runs faster now than when its table was measured; measuring it again")
    try:
        plan = plan_of(ctx)
        worked(ctx, _work(ctx, target, _stage(ctx, target, plan), again, plan))
    except TooNoisy as problem:
        again.path.unlink()
        ctx.reporter.note(f"{target.label}: the faster speed did not last, the table of the slower one is kept: {problem}")


def _conditions(target: Target, plan: MeasurePlan) -> Conditions:
    return conditions_of(target, "sustained" if plan.heat_s > 0 else "table")


def _stage(ctx: Context, target: Target, plan: MeasurePlan, *, name: str = "") -> Stage:
    device = ctx.workspace.device(target.device)
    replayed = ctx.replay.id if ctx.replay else None
    # a session that ran out of time goes on where it was when it is given more
    fixed = plain(replace(plan, max_seconds=MeasurePlan().max_seconds))
    # how a device is reached decides nothing that is measured on it
    known = plain(replace(device, ssh=None, adb=None, native=_by_content(device.native)))
    inputs = [known, plain(target), ctx.space.id, fixed, ctx.config.profile.networks, replayed]
    return ctx.store.stage(name or ("profile-sustained" if plan.heat_s > 0 else "profile"), inputs, code=CODE, glue=GLUE)


def _by_content(native: NativeOptions | None) -> NativeOptions | None:
    """A benchmark program is what is in its file, wherever that is."""
    return native and replace(native, path=sha256_file(Path(native.path)) if Path(native.path).is_file() else Path(native.path).name)


def _profile(target: Target, stage: Stage, regimes: Sequence[str]) -> Profile:
    paths = {regime: table_file(stage.folder, target, regime) for regime in regimes}
    return Profile(target, {r: read_table(p) for r, p in paths.items()}, paths, stage.folder / JOURNAL, stage.key)


def _work(ctx: Context, target: Target, stage: Stage, journal: Journal, plan: MeasurePlan) -> Work:
    level = level_of(ctx, target, _conditions(target, plan), journal)
    files = model_files(ctx, target, level)
    words = blockwise(ctx.space).vocabulary(ctx.space)
    networks = networks_to_measure(ctx)
    with ctx.reporter.stage(f"write models for {target.runtime}", 1):
        models = (files.overhead(), *files.blocks(_unless_stopped(ctx, words)), *map(files.network, _unless_stopped(ctx, networks)))
    rig = Rig(target, files.probe(), reference_of(ctx, files), plan, level=level)
    regimes = regimes_of(ctx.workspace.device(target.device), sustained=plan.heat_s > 0)
    return Work(target, stage, journal, models, tuple(networks), rig, regimes)


def _unless_stopped(ctx: Context, things: Iterable[T]) -> Iterator[T]:
    """``things`` as they are, up to where everything is to stop."""
    for thing in things:
        ctx.together.check()
        yield thing


def _one_speed(ctx: Context, work: Work) -> dict[str, Regimes]:
    """Timings that were all made at one speed of the device, also where a profile was interrupted at one and goes on at another."""
    conditions, journal = work.conditions, work.journal

    def level_us() -> float | None:
        return min([*quiet_levels_us(conditions, journal).values(), *noted_speeds_us(conditions, journal)], default=None)

    def measure(models: Sequence[TimedModel], keep: Keep, meet: Meet) -> Mapping[str, Any]:
        # looked up now: on a device that has changed, the level of before means nothing
        return replace(work.rig, quiet_level_us=level_us()).measure(ctx, work.title)(models, keep, meet)

    for _ in range(MAX_SESSIONS):
        level = level_us()
        again = stale(quiet_levels_us(conditions, journal), level) if level is not None and ctx.replay is None else ()
        timings = timed(conditions, work.models, journal, measure=measure, replay=ctx.replay, again=again)
        levels, level = quiet_levels_us(conditions, journal), level_us()
        if ctx.replay is not None or not levels or level is None or not stale(levels, level):
            return timings
    raise TooNoisy(
        f"{work.target.label}: the device changed its speed in each of {MAX_SESSIONS} sessions; profile it when less else runs there"
    )
