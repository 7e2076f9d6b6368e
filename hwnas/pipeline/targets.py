"""What is measured on a target: which targets a device has, which models, by which plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hwnas.core.arch import Architecture, Codes
from hwnas.core.device import MeasurePlan
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.core.registry import suggest
from hwnas.export.exporter import RUNTIME_FORMATS, require_precision
from hwnas.export.level import OnnxLevel
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target, target_of
from hwnas.pipeline.modelfiles import ModelFiles
from hwnas.pipeline.timings import Conditions
from hwnas.space.family import family_of
from hwnas.space.moves import sample_spread, unique

HEAT_S = 600.0
"""The longest that a device is heated; most are as slow as they get after a minute or five."""


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


def plan_of(ctx: Context, *, sustained: bool = False) -> MeasurePlan:
    """How this workspace measures; ``sustained`` heats the device first."""
    profile = ctx.config.profile
    heat_s = HEAT_S if sustained else 0.0
    return MeasurePlan(min_repeats=profile.min_repeats, max_seconds=profile.max_seconds, seed=ctx.config.seed, heat_s=heat_s)


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


def reference_of(ctx: Context, files: ModelFiles) -> Path:
    """The network that is measured again and again to see drift: the largest."""
    _, largest = family_of(ctx.space).extremes(ctx.space)
    return files.network(largest).path
