"""A profile: the latency tables of one target, where they lie, and how they are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.arch import Architecture
from hwnas.core.device import MeasurePlan
from hwnas.core.errors import PredictorError
from hwnas.core.serial import content_id, sha256_file, write_atomic
from hwnas.export.level import OnnxLevel
from hwnas.latency.additivity import audited
from hwnas.latency.chosen import chosen_latency, why
from hwnas.latency.table import LatencyTable, Network, table_path
from hwnas.latency.tablefile import read_table, samples_path
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.identity import Identity
from hwnas.pipeline.levels import level_in
from hwnas.pipeline.modelfiles import OVERHEAD
from hwnas.pipeline.searching import publish_latency, publish_space
from hwnas.pipeline.timings import Regimes
from hwnas.space.family import blockwise


@dataclass(frozen=True)
class Profile:
    """Tables of a target by regime, where they came from, and the journal of the timings (None for an accepted table)."""

    target: Target
    tables: Mapping[str, LatencyTable]
    paths: Mapping[str, Path]
    journal: Path | None
    id: str
    _predictors: dict[tuple[str, str, str], TrustedLatency] = field(default_factory=dict, init=False, repr=False, compare=False)

    def predictor(self, ctx: Context, *, regime: str, statistic: str) -> TrustedLatency:
        """Predicts ``statistic`` of networks in ``regime``; fitted once."""
        key = (ctx.space.id, regime, statistic)
        if key not in self._predictors:
            self._predictors[key] = chosen_latency(self.tables[regime], ctx.space, statistic=statistic)
        return self._predictors[key]

    @property
    def regime(self) -> str:
        """What it is shown by: ``quiet``, or what it has instead."""
        return "quiet" if "quiet" in self.tables else next(iter(self.tables))

    @property
    def table(self) -> LatencyTable:
        """The table of that regime."""
        return self.tables[self.regime]

    def summary(self, ctx: Context) -> dict[str, Any]:
        """What ``hwnas profile`` shows of it."""
        predictor, table = self.predictor(ctx, regime=self.regime, statistic="p50"), self.table
        smallest, largest = predictor.predict(predictor.minimum()).mean, self.largest_ms(ctx, regime=self.regime, statistic="p50")
        networks = (network.measurement for network in table.networks.values())
        return {
            "target": self.target.label,
            "regime": self.regime,
            "blocks": len(table.entries),
            "networks": len(table.networks),
            "smallest_ms": float(smallest[0]),
            "largest_ms": largest,
            "residual_std": None if predictor.intervals is None else float(np.sqrt(np.mean(predictor.intervals.scores**2))),
            "model": why(predictor),
            "additivity": audited(table, ctx.space),
            "quiet_share": table.facts.get("quiet_share"),
            "wide": sum(bool(m.facts.get("wide")) for m in (*table.entries.values(), *networks)),
            "table": self.paths[self.regime].name,
        }

    @property
    def quiet_level_us(self) -> float | None:
        """How long the probe took when the device was quiet: what later sessions hold on to."""
        level = self.table.facts.get("quiet_level_us")
        return float(level) if isinstance(level, (int, float)) else None

    @property
    def level(self) -> OnnxLevel:
        """Which ONNX the models of the table are written in, and so the files that are held against it."""
        return level_in(self.table.facts)

    @property
    def identity(self) -> Identity:
        """What the device was when the table was measured."""
        return Identity.read(self.table.facts, runtime=self.target.runtime)

    def largest_ms(self, ctx: Context, *, regime: str, statistic: str) -> float:
        """Measured latency of the largest subnet: what a relative budget is a share of."""
        return self.predictor(ctx, regime=regime, statistic=statistic).largest_ms()


def table_of(
    target: Target,
    regime: str,
    timings: Mapping[str, Regimes],
    networks: Sequence[Architecture],
    facts: Mapping[str, object],
    *,
    plan: MeasurePlan,
) -> LatencyTable:
    """The table of one regime from the timings of its models, measured by ``plan``; ``facts`` that are not plain values are left out."""
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
        plan=plan,
        facts={k: v for k, v in facts.items() if v is None or isinstance(v, (str, int, float, bool))},
        overhead=measured[OVERHEAD],
        entries=blocks,
        networks=nets,
    )


def table_file(root: Path, target: Target, regime: str) -> Path:
    """Where the table of a target and regime lies below ``root``."""
    return table_path(
        root,
        device=target.device,
        runtime=target.runtime,
        precision=target.precision,
        threads=target.threads,
        batch=target.batch,
        regime=regime,
    )


def accepted_profile(ctx: Context, target: Target) -> Profile | None:
    """The profile that was accepted for the target; None where there is none."""
    return _read(ctx, ctx.workspace.accepted_tables, target)


def profile_at_hand(ctx: Context, target: Target) -> Profile | None:
    """The accepted profile, or the latest measured one; None where neither is there."""
    return accepted_profile(ctx, target) or _read(ctx, ctx.store.tables, target)


def _read(ctx: Context, root: Path, target: Target) -> Profile | None:
    paths = {regime: table_file(root, target, regime) for regime in ctx.workspace.device(target.device).regimes}
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


def publish(ctx: Context, profile: Profile) -> None:
    """Copy the measured tables to ``runs/tables``, where ``hwnas table show`` and ``accept`` find them; store the predictors too."""
    for regime, path in profile.paths.items():
        to = table_file(ctx.store.tables, profile.target, regime)
        for source, copy in ((path, to), (samples_path(path), samples_path(to))):
            if not copy.is_file() or copy.read_bytes() != source.read_bytes():
                write_atomic(copy, source.read_bytes())
    publish_predictors(ctx, profile)


def publish_predictors(ctx: Context, profile: Profile) -> None:
    """Store a predictor for each regime of the profile and statistic that a budget may be about, where ``hwnas search`` finds it.

    A regime that was too disturbed for one is left out: no recipe may need it, and one that does says so by itself.
    """
    publish_space(ctx.store, ctx.space, ctx.space_options)
    for regime, statistic in product(profile.tables, ctx.workspace.device(profile.target.device).statistics):
        with suppress(PredictorError):
            publish_latency(ctx.store, profile.predictor(ctx, regime=regime, statistic=statistic))
