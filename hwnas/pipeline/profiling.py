"""Stage: a latency table of one target and the predictor that it gives. An accepted table is used where there is a complete one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.arch import Architecture, Codes
from hwnas.core.device import MeasurePlan
from hwnas.core.errors import ConfigError, PredictorError, TooNoisy, UnknownNameError
from hwnas.core.registry import suggest
from hwnas.core.serial import content_id, plain, sha256_file, write_atomic
from hwnas.export.exporter import RUNTIME_FORMATS, require_precision
from hwnas.export.level import OnnxLevel
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.table import LatencyTable, Network, table_path
from hwnas.latency.tablefile import read_table, samples_path, write_table
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import Rig
from hwnas.pipeline.goals import Target, target_of
from hwnas.pipeline.levels import level_facts, level_in, level_of
from hwnas.pipeline.modelfiles import CODE as MODEL_CODE
from hwnas.pipeline.modelfiles import OVERHEAD, ModelFiles
from hwnas.pipeline.searching import publish_latency, publish_space
from hwnas.pipeline.timings import Conditions, Regimes, TimedModel, note_speed, noted_speeds_us, quiet_levels_us, session_facts, timed
from hwnas.profiler.session import stale
from hwnas.space.family import blockwise, family_of
from hwnas.space.moves import sample_spread, unique
from hwnas.store.journal import Journal
from hwnas.store.stages import Stage
from hwnas.workspace import BUDGET_REGIMES, BUDGET_STATISTICS

CODE = ("hwnas.profiler.session", "hwnas_agent.__main__", *MODEL_CODE)
JOURNAL = "journal.jsonl"
AGAIN = "again.jsonl"
"""The journal of measuring again, until that is done and it takes the place of the first."""
MAX_SESSIONS = 3


@dataclass(frozen=True)
class Profile:
    """Tables of a target by regime, where they came from, and the journal of the timings (None for an accepted table)."""

    target: Target
    tables: Mapping[str, LatencyTable]
    paths: Mapping[str, Path]
    journal: Path | None
    id: str

    def predictor(self, ctx: Context, *, regime: str, statistic: str) -> AdditiveLatency:
        """Predicts ``statistic`` of networks in ``regime``."""
        return AdditiveLatency.from_table(self.tables[regime], ctx.space, statistic=statistic)

    def summary(self, ctx: Context) -> dict[str, Any]:
        """What ``hwnas profile`` shows of it."""
        predictor = self.predictor(ctx, regime="quiet", statistic="p50")
        table = self.tables["quiet"]
        smallest, largest = predictor.predict(predictor.minimum()).mean, self.largest_ms(ctx, regime="quiet", statistic="p50")
        return {
            "target": self.target.label,
            "blocks": len(table.entries),
            "networks": len(table.networks),
            "smallest_ms": float(smallest[0]),
            "largest_ms": largest,
            "residual_std": None if predictor.scaling is None else predictor.scaling.relative_std,
            "quiet_share": table.facts.get("quiet_share"),
            "table": self.paths["quiet"].name,
        }

    @property
    def quiet_level_us(self) -> float | None:
        """How long the probe took when the device was quiet: what later sessions hold on to."""
        level = self.tables["quiet"].facts.get("quiet_level_us")
        return float(level) if isinstance(level, (int, float)) else None

    @property
    def level(self) -> OnnxLevel:
        """Which ONNX the models of the table are written in, and so the files that are held against it."""
        return level_in(self.tables["quiet"].facts)

    def largest_ms(self, ctx: Context, *, regime: str, statistic: str) -> float:
        """Measured latency of the largest subnet: what a relative budget is a share of."""
        return self.predictor(ctx, regime=regime, statistic=statistic).largest_ms()


def profiled(ctx: Context, target: Target) -> Profile:
    """The profile of a target for a run: an accepted table, or what `measured` gives. A replay takes its own recording first."""
    recorded = ctx.replay is not None and ctx.replay.holds(conditions_of(target, "table"))
    accepted = None if recorded else _accepted(ctx, target)
    if accepted is None:
        return measured(ctx, target)
    ctx.reporter.reused(f"profile {target.label} (accepted table)")
    _publish_predictors(ctx, accepted)
    return accepted


def measured(ctx: Context, target: Target) -> Profile:
    """The profile of a target as this workspace measures it: now, or earlier."""
    title, stage = f"profile {target.label}", _stage(ctx, target)
    if stage.done:
        ctx.reporter.reused(title)
    else:
        _measure(ctx, target, stage, title, Journal(stage.folder / JOURNAL))
    paths = {regime: _path(stage.folder, target, regime) for regime in BUDGET_REGIMES}
    profile = Profile(target, {r: read_table(p) for r, p in paths.items()}, paths, stage.folder / JOURNAL, stage.key)
    if ctx.replay is None:  # what is found there is of this device, now
        _publish(ctx, profile)
    return profile


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
        _measure(ctx, target, _stage(ctx, target), f"profile {target.label}", again)
    except TooNoisy as problem:
        again.path.unlink()
        ctx.reporter.note(f"{target.label}: the faster speed did not last, the table of the slower one is kept: {problem}")


def targets_for(ctx: Context, device: str, *, runtime: str | None = None, precision: str | None = None) -> list[Target]:
    """What to profile on a device: what its recipes use, or all its runtimes in fp32; narrowed to one runtime or precision if given."""
    known = ctx.workspace.device(device)
    recipes = [target_of(r) for r in ctx.workspace.recipes.values() if r.device == device]
    targets = recipes or [Target(device, name, "fp32", known.threads) for name in known.runtimes]
    if runtime is not None:
        if known.runtimes and runtime not in known.runtimes:
            raise UnknownNameError(f"device '{device}' has no runtime '{runtime}'; {suggest(runtime, known.runtimes)}")
        targets = [t for t in targets if t.runtime == runtime] or [Target(device, runtime, "fp32", known.threads)]
    if precision is not None:
        targets = [replace(t, precision=precision) for t in targets]
    if not targets:
        raise ConfigError(f"device '{device}' names no runtimes; add them to devices/{device}.toml or give --runtime")
    for target in targets:
        require_precision(RUNTIME_FORMATS[target.runtime], target.precision)
    return list(dict.fromkeys(targets))


def plan_of(ctx: Context) -> MeasurePlan:
    """How this workspace measures."""
    profile = ctx.config.profile
    return MeasurePlan(min_repeats=profile.min_repeats, max_seconds=profile.max_seconds, seed=ctx.config.seed)


def networks_to_measure(ctx: Context) -> list[Architecture]:
    """The smallest, the largest, and a seeded sample between them that spreads over sizes."""
    smallest, largest = family_of(ctx.space).extremes(ctx.space)
    rng = np.random.default_rng(ctx.config.seed)
    drawn = sample_spread(ctx.space, 4 * ctx.config.profile.networks, rng)
    codes: Codes = unique(np.concatenate([smallest.codes, largest.codes, drawn]))[: ctx.config.profile.networks]
    return [ctx.space.architecture(row) for row in codes]


def model_files(ctx: Context, target: Target, level: OnnxLevel) -> ModelFiles:
    """Where this target's block models are written."""
    return ModelFiles(ctx.space, ctx.store.models, target.runtime, target.precision, level)


def conditions_of(target: Target, purpose: str) -> Conditions:
    """The conditions under which a target is timed for ``purpose``."""
    return Conditions(purpose, target.device, target.runtime, target.precision, target.threads, target.batch)


def _stage(ctx: Context, target: Target) -> Stage:
    device = ctx.workspace.device(target.device)
    replayed = ctx.replay.id if ctx.replay else None
    # a session that ran out of time goes on where it was when it is given more
    plan = replace(plan_of(ctx), max_seconds=MeasurePlan().max_seconds)
    # how a device is reached decides nothing that is measured on it
    inputs = [plain(replace(device, ssh=None)), plain(target), ctx.space.id, plain(plan), ctx.config.profile.networks, replayed]
    return ctx.store.stage("profile", inputs, code=CODE, glue=__name__)


def _measure(ctx: Context, target: Target, stage: Stage, title: str, journal: Journal) -> None:
    """Time what ``journal`` lacks, make it the stage's journal, and write the tables."""
    conditions = conditions_of(target, "table")
    level = level_of(ctx, target, conditions, journal)
    files = model_files(ctx, target, level)
    words = blockwise(ctx.space).vocabulary(ctx.space)
    networks = networks_to_measure(ctx)
    with ctx.reporter.stage(f"write models for {target.runtime}", 1):
        models = [files.overhead(), *files.blocks(words), *(files.network(arch) for arch in networks)]
    rig = Rig(target, files.probe(), reference_of(ctx, files), plan_of(ctx), level=level)
    timings = _one_speed(ctx, conditions, models, journal, rig, title)
    facts = {**session_facts(conditions, journal), **level_facts(target, level)}
    stage.reopen()  # killed from here on, the next run writes the tables from the journal
    journal.path.replace(stage.folder / JOURNAL)
    for regime in BUDGET_REGIMES:
        write_table(_table(ctx, target, regime, timings, networks, facts), stage.folder)
    names = []
    for regime in BUDGET_REGIMES:
        path = _path(stage.folder, target, regime)
        names += [str(p.relative_to(stage.folder)) for p in (path, samples_path(path))]
    stage.finish(*names)


def _one_speed(
    ctx: Context, conditions: Conditions, models: Sequence[TimedModel], journal: Journal, rig: Rig, title: str
) -> dict[str, Regimes]:
    """Timings that were all made at one speed of the device, also where a profile was interrupted at one and goes on at another."""
    for _ in range(MAX_SESSIONS):
        levels = quiet_levels_us(conditions, journal)
        level = min([*levels.values(), *noted_speeds_us(conditions, journal)], default=None)
        again = stale(levels, level) if level is not None and ctx.replay is None else ()
        now = replace(rig, quiet_level_us=level)
        timings = timed(conditions, models, journal, measure=now.measure(ctx, title), replay=ctx.replay, again=again)
        levels = quiet_levels_us(conditions, journal)
        noted = noted_speeds_us(conditions, journal)
        if ctx.replay is not None or not levels or not stale(levels, min([*levels.values(), *noted])):
            return timings
    raise TooNoisy(
        f"{rig.target.label}: the device changed its speed in each of {MAX_SESSIONS} sessions; profile it when less else runs there"
    )


def reference_of(ctx: Context, files: ModelFiles) -> Path:
    """The network that is measured again and again to see drift: the largest."""
    _, largest = family_of(ctx.space).extremes(ctx.space)
    return files.network(largest).path


def _table(
    ctx: Context, target: Target, regime: str, timings: Mapping[str, Regimes], networks: list[Architecture], facts: Mapping[str, object]
) -> LatencyTable:
    measured = {key: regimes[regime] for key, regimes in timings.items()}
    nets = {f"net:{arch.id}": Network(arch, measured[f"net:{arch.id}"]) for arch in networks}
    blocks = {key: m for key, m in measured.items() if key not in nets and key != OVERHEAD}
    return LatencyTable(
        device=target.device,
        runtime=target.runtime,
        precision=target.precision,
        threads=target.threads,
        batch=target.batch,
        regime=regime,
        plan=plan_of(ctx),
        facts={k: v for k, v in facts.items() if v is None or isinstance(v, (str, int, float, bool))},
        overhead=measured[OVERHEAD],
        entries=blocks,
        networks=nets,
    )


def _path(root: Path, target: Target, regime: str) -> Path:
    return table_path(
        root,
        device=target.device,
        runtime=target.runtime,
        precision=target.precision,
        threads=target.threads,
        batch=target.batch,
        regime=regime,
    )


def _accepted(ctx: Context, target: Target) -> Profile | None:
    paths = {regime: _path(ctx.workspace.accepted_tables, target, regime) for regime in BUDGET_REGIMES}
    if not all(path.is_file() for path in paths.values()):
        return None
    tables = {regime: read_table(path) for regime, path in paths.items()}
    for regime, table in tables.items():
        table.require(
            device=target.device,
            runtime=target.runtime,
            precision=target.precision,
            threads=target.threads,
            batch=target.batch,
            regime=regime,
        )
        table.require_blocks(blockwise(ctx.space).vocabulary(ctx.space))
    return Profile(target, tables, paths, None, content_id([sha256_file(path) for path in paths.values()]))


def _publish(ctx: Context, profile: Profile) -> None:
    """Copy the measured tables to ``runs/tables``, where ``hwnas table show`` and ``accept`` find them; store the predictors too."""
    for regime, path in profile.paths.items():
        to = _path(ctx.store.tables, profile.target, regime)
        for source, copy in ((path, to), (samples_path(path), samples_path(to))):
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.is_file() or copy.read_bytes() != source.read_bytes():
                copy.write_bytes(source.read_bytes())
    _publish_predictors(ctx, profile)


def _publish_predictors(ctx: Context, profile: Profile) -> None:
    """Store a predictor for each regime and statistic that a budget may be about, where ``hwnas search`` finds it.

    A regime that was too disturbed for one is left out: no recipe may need it, and one that does says so by itself.
    """
    publish_space(ctx.store, ctx.space, ctx.space_options)
    for regime, statistic in product(BUDGET_REGIMES, BUDGET_STATISTICS):
        with suppress(PredictorError):
            publish_latency(ctx.store, profile.predictor(ctx, regime=regime, statistic=statistic))
