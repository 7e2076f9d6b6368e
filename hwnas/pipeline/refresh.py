"""``hwnas profile --refresh``: after an update of a device, time a few blocks and networks again and say whether its table still holds.

The table is never changed. That it held is noted with what the device was then, and its reuse is not warned of any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.device import Measurement
from hwnas.core.errors import TableError, TableOutdated
from hwnas.core.serial import content_id, plain
from hwnas.latency.compare import SCALE_WITHIN, SPREAD_WITHIN, Comparison, compare
from hwnas.latency.table import LatencyTable
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import Rig, ask
from hwnas.pipeline.goals import Target
from hwnas.pipeline.identity import Identity
from hwnas.pipeline.profile import Profile, profile_at_hand
from hwnas.pipeline.targets import conditions_of, model_files, plan_of, reference_of
from hwnas.pipeline.timings import TimedModel, identity_of, timed
from hwnas.space.family import blockwise
from hwnas.store.journal import Journal, read_journal

DEFAULT_BLOCKS = 12
LEAST_BLOCKS = 3
NETWORKS = 3
MAX_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A target whose chosen models are written, and the profile that they are compared with."""

    target: Target
    profile: Profile
    models: tuple[TimedModel, ...]
    rig: Rig
    journal: Path

    @property
    def title(self) -> str:
        """As progress names it."""
        return f"refresh {self.target.label}"


@dataclass(frozen=True, slots=True)
class Refresh:
    """What came of it: the comparison, and what has changed about the device since the table was measured."""

    target: Target
    table: Path
    comparison: Comparison
    changes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The documented JSON."""
        found = self.comparison
        return {
            "verdict": found.verdict,
            "scale": found.scale,
            "scale_ci": [found.scale_low, found.scale_high],
            "scale_within": SCALE_WITHIN,
            "spread": found.spread,
            "spread_within": SPREAD_WITHIN,
            "changes": list(self.changes),
            "table": str(self.table),
            "models": [plain(r) | {"ratio": r.ratio} for r in found.ratios],
        }

    @property
    def sentence(self) -> str:
        """The verdict in a line, with what to do."""
        found, name = self.comparison, self.target.label
        by = f"{abs(found.scale - 1):.1%} {'slower' if found.scale > 1 else 'faster'}"
        since = f" ({'; '.join(self.changes)})" if self.changes else ""
        if found.verdict == "holds":
            return f"{name}: the table holds{since}: {by} in common, nine of ten models within {found.spread:.1%} of that"
        if found.verdict == "scale":
            return (
                f"{name}: the device is {by} than its table{since}, all models alike (within {found.spread:.1%}): times {found.scale:.3f} "
                f"the table would hold; it was not changed, 'hwnas profile {self.target.device} --again' measures a new one"
            )
        return (
            f"{name}: the table no longer holds{since}: {by} in common, and models differ from that by {found.spread:.0%}; "
            f"measure a new one with 'hwnas profile {self.target.device} --again'"
        )

    def require_holds(self) -> None:
        """Raise `TableOutdated` unless the table holds."""
        if self.comparison.verdict != "holds":
            raise TableOutdated(self.sentence)


def sampled(ctx: Context, target: Target, *, blocks: int = DEFAULT_BLOCKS) -> Sample:
    """Choose what is timed again, by seed and spread over the table's range of times, and write the models.

    Without a table `TableError` says how to get one.
    """
    profile = profile_at_hand(ctx, target)
    if profile is None:
        raise TableError(f"{target.label}: no table to compare with; run 'hwnas profile {target.device}'")
    table, files = profile.table, model_files(ctx, target, profile.level)
    rng = np.random.default_rng(ctx.config.seed)
    words = {block.key: block for block in blockwise(ctx.space).vocabulary(ctx.space)}
    by_time = sorted(words, key=lambda key: table.entries[key].quantile_ms("p50"))
    networks = sorted(table.networks_of(ctx.space.id), key=lambda network: network.measurement.quantile_ms("p50"))
    with ctx.reporter.stage(f"write models for {target.runtime}", 1):
        models = files.blocks(words[key] for key in _spread(by_time, blocks, rng))
        models += [files.network(network.arch) for network in _spread(networks, NETWORKS, rng)]
    plan = plan_of(ctx)
    short = replace(plan, max_seconds=min(MAX_SECONDS, plan.max_seconds))
    rig = Rig(target, files.probe(), reference_of(ctx, files), short, level=profile.level)
    return Sample(target, profile, tuple(models), rig, _journal(ctx, profile))


def compared(ctx: Context, sample: Sample) -> Refresh:
    """Time the sample on its device, and compare. One that was interrupted goes on; one that came to a verdict begins anew."""
    journal = Journal(sample.journal)
    if any(record.get("kind") == "verdict" for record in journal.records):
        sample.journal.unlink()
        journal = Journal(sample.journal)
    answers = ctx.workspace.device(sample.target.device).answers
    changes = sample.profile.identity.changes(ask(ctx, sample.target)) if answers else ()
    # after an update the probe may take longer, too; on the same device a slower one is a busy device
    rig = replace(sample.rig, quiet_level_us=None if changes else sample.profile.quiet_level_us)
    conditions = conditions_of(sample.target, "refresh")
    timings = timed(conditions, sample.models, journal, measure=rig.measure(ctx, sample.title))
    found = compare(_before(sample.profile.table), {key: regimes[sample.profile.regime] for key, regimes in timings.items()})
    identity = identity_of(conditions, journal)
    journal.append({"kind": "verdict", "conditions": conditions.id, "verdict": found.verdict, "identity": plain(identity)})
    return Refresh(sample.target, sample.profile.paths[sample.profile.regime], found, changes)


def vouched(ctx: Context, profile: Profile, now: Identity) -> bool:
    """Whether a refresh found that the profile's table holds for the device as it is now."""
    path = _journal(ctx, profile)
    if not path.is_file():
        return False
    verdicts = [record for record in read_journal(path) if record.get("kind") == "verdict"]
    return any(record.get("verdict") == "holds" and record.get("identity") == plain(now) for record in verdicts)


def note_changes(ctx: Context, profile: Profile, now: Identity) -> None:
    """Say so where the device is no longer what it was when its table was measured, unless a refresh has found that the table holds."""
    changes = profile.identity.changes(now)
    if changes and not vouched(ctx, profile, now):
        ctx.reporter.note(
            f"{profile.target.label}: the device has changed since its table was measured ({'; '.join(changes)}); "
            f"'hwnas profile {profile.target.device} --refresh' says whether the table still holds"
        )


def _journal(ctx: Context, profile: Profile) -> Path:
    """One a table, by what it holds."""
    entries = {regime: {key: m.samples_ms for key, m in table.entries.items()} for regime, table in profile.tables.items()}
    return ctx.store.root / "refresh" / f"{content_id([profile.target, entries])}.jsonl"


def _spread(ordered: Sequence[Any], n: int, rng: np.random.Generator) -> list[Any]:
    """One of each of ``n`` equal parts, so that all sizes are there."""
    parts = np.array_split(np.arange(len(ordered)), min(n, len(ordered)))
    return [ordered[int(rng.choice(part))] for part in parts]


def _before(table: LatencyTable) -> Mapping[str, Measurement]:
    return dict(table.entries) | {key: network.measurement for key, network in table.networks.items()}
