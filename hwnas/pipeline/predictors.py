"""``hwnas predictor``: fit a latency predictor to what a table measured, and say how good it is on networks held out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError, TableError
from hwnas.core.predict import Floats, Predictor
from hwnas.core.registry import suggest
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.additivity import additivity, audited
from hwnas.latency.conformal import Intervals
from hwnas.latency.evaluate import Evaluation, evaluate
from hwnas.latency.predictors import DEFAULT, PREDICTORS, Known
from hwnas.latency.scatter import draw
from hwnas.latency.table import LatencyTable, table_path
from hwnas.latency.tablefile import read_table
from hwnas.latency.transfer import MIN_DEVICES, DevicePrior, Source
from hwnas.latency.trusted import TrustedLatency
from hwnas.pipeline.tables import known_space
from hwnas.space.family import blockwise
from hwnas.space.moves import sample
from hwnas.workspace import Workspace

_OWN = 100
"""Networks from which on a new device's own errors say more than those of other devices."""
_DRAWN = 500
"""Networks by which the table of another device speaks for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which table, which statistic of its networks, and which kind of predictor."""

    device: str
    runtime: str
    precision: str = "fp32"
    kind: str = DEFAULT
    statistic: str = "p50"
    regime: str = "quiet"
    threads: int | None = None


@dataclass(frozen=True)
class _Work:
    space: SearchSpace
    table: LatencyTable
    additive: AdditiveLatency | None
    predictor: Predictor
    prior: DevicePrior | None
    sources: tuple[Source, ...]
    codes: Codes
    measured_ms: Floats

    @property
    def minutes(self) -> float:
        """What the samples of blocks and networks took, warm-up and waiting apart."""
        timings = [*self.table.entries.values(), *(n.measurement for n in self.table.networks.values())]
        return sum(sum(m.samples_ms) for m in timings) / 60_000


def fit_predictor(workspace: Workspace, asked: Asked) -> dict[str, Any]:
    """Fit, give it intervals, store it; what was done as plain values."""
    work = _work(workspace, asked)
    borrowed = None
    if work.prior is not None and len(work.codes) < _OWN and len(work.prior.devices) > MIN_DEVICES:
        borrowed = Intervals.from_other_devices(work.prior, work.sources, count=len(work.codes))
    unfitted = TrustedLatency(work.space, work.table.context, asked.statistic, asked.kind, work.predictor)
    trusted = unfitted.fit(work.codes, work.measured_ms, borrowed=borrowed)
    path = _path(workspace, work.table, asked)
    trusted.save(path)
    return {"file": str(path), "kind": asked.kind, "networks": len(work.codes), "confidence": trusted.confidence, **_audited(work)}


def evaluate_predictor(workspace: Workspace, asked: Asked, *, plot: Path | None = None) -> dict[str, Any]:
    """Cross-validated figures as plain values; ``plot`` is drawn as PNG and SVG."""
    work = _work(workspace, asked)
    found = evaluate(work.predictor, work.codes, work.measured_ms, seed=workspace.config.seed)
    figures: dict[str, Any] = {"device": asked.device, "runtime": asked.runtime, "kind": asked.kind, **asdict(found.agreement)}
    for level, coverage in found.coverage.items():
        figures |= {f"coverage_{level:.0%}".rstrip("%"): coverage.share, f"width_{level:.0%}".rstrip("%"): coverage.width}
    figures |= {"minutes_sampled": work.minutes, "blocks": len(work.table.entries), **_audited(work)}
    if plot is not None:
        figures["plots"] = [str(file) for file in _plot(found, plot, asked)]
    return figures


def _plot(found: Evaluation, path: Path, asked: Asked) -> tuple[Path, ...]:
    level = max(found.coverage, default=None)
    bounds = None if level is None else Intervals.from_held_out(found.predicted, found.measured_ms).bounds(found.predicted, level)
    return draw(found, bounds, path, title=f"{asked.device}/{asked.runtime} {asked.precision}, {asked.kind}")


def _work(workspace: Workspace, asked: Asked) -> _Work:
    kind = PREDICTORS.get(asked.kind)
    space = known_space(workspace)
    table = read_table(_table_file(workspace, asked))
    networks = table.networks_of(space.id)
    if not networks:
        raise PredictorError(f"{table.label}: the table has no whole network of space '{space.name}'; run 'hwnas profile {asked.device}'")
    additive, words = None, blockwise(space).vocabulary(space)
    if kind.needs == "table":
        table.require_blocks(words)
    if not table.missing(words):
        additive = AdditiveLatency.from_table(table, space, statistic=asked.statistic)
    sources = tuple(_sources(workspace, space, asked)) if kind.needs == "devices" else ()
    prior = DevicePrior.learn(space, sources) if sources else None
    if kind.needs == "devices" and prior is None:
        raise PredictorError(
            f"{table.label}: no other device has a table of {asked.runtime} {asked.precision}; profile one, or use '{DEFAULT}'"
        )
    codes = np.concatenate([network.arch.codes for network in networks])
    measured = np.array([network.measurement.quantile_ms(asked.statistic) for network in networks])
    predictor = kind.make(Known(space, table.context, additive, prior))
    return _Work(space, table, additive, predictor, prior, sources, codes, measured)


def _table_file(workspace: Workspace, asked: Asked) -> Path:
    device = workspace.device(asked.device)
    threads = asked.threads or device.threads
    for root in (workspace.accepted_tables, workspace.store.tables):
        path = table_path(root, device=device.id, runtime=asked.runtime, precision=asked.precision, threads=threads, regime=asked.regime)
        if path.is_file():
            return path
    there = {path.stem for root in (workspace.accepted_tables, workspace.store.tables) for path in (root / device.id).glob("*.json")}
    wanted = path.stem
    raise TableError(f"no table {wanted} of device '{device.id}'; {suggest(wanted, there) if there else 'run hwnas profile'}")


def _sources(workspace: Workspace, space: SearchSpace, asked: Asked) -> list[Source]:
    """Every other device with a whole table of the same runtime, precision and regime, by what it says of drawn networks."""
    codes = np.unique(sample(space, _DRAWN, np.random.default_rng(workspace.config.seed)), axis=0)
    words = blockwise(space).vocabulary(space)
    found = {}
    for root in (workspace.store.tables, workspace.accepted_tables):
        for path in sorted(root.glob(f"*/{asked.runtime}-{asked.precision}-*-{asked.regime}.json")):
            table = read_table(path)
            if table.device != asked.device and not table.missing(words):
                additive = AdditiveLatency.from_table(table, space, statistic=asked.statistic)
                found[path.parent.name, path.stem] = Source(table.device, table.label, codes, additive.predict(codes).mean)
    return list(found.values())


def _audited(work: _Work) -> dict[str, Any]:
    if work.additive is None:
        return {"additivity": audited(work.table, work.space)}
    report = additivity(work.additive, work.codes, work.measured_ms)
    return {"additivity": report.verdict, "measured_to_sum": report.ratio, "sum_mape": report.scaled.mape}


def _path(workspace: Workspace, table: LatencyTable, asked: Asked) -> Path:
    name = table_path(Path(), **table.context).stem  # type: ignore[arg-type]
    return workspace.store.predictors / "fitted" / table.device / f"{name}-{asked.statistic}-{asked.kind}.json"
