"""``hwnas predict``: the latency of one subnet by a device's table. Needs neither torch nor the data nor the device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.core.arch import SearchSpace
from hwnas.core.device import QUANTILES
from hwnas.core.errors import PredictorError
from hwnas.core.registry import require_known
from hwnas.latency.chosen import chosen_latency, why
from hwnas.latency.conformal import require_level
from hwnas.latency.importing import SPACE_FACT, covered_space
from hwnas.latency.table import LatencyTable
from hwnas.pipeline.searching import stored_space
from hwnas.pipeline.subnets import find_architecture
from hwnas.pipeline.tables import one_table
from hwnas.space.family import blocks_of, family_of, find_space
from hwnas.workspace import Workspace


def predict(
    workspace: Workspace,
    text: str,
    device: str,
    *,
    asked: Mapping[str, str | int | None],
    statistic: str = "p50",
    space: str | None = None,
    confidence: float | None = None,
) -> dict[str, Any]:
    """What the table of ``device`` in the context ``asked`` for says of the subnet ``text``, as plain values in ms.

    The space is ``space``, else the one that the table was imported for, else that of the workspace. ``confidence`` is that of
    ``at_most_ms``; None takes what the table's networks can bound, up to 0.95. Where it has no whole networks, ``std_ms``, ``at_most_ms``,
    ``confidence`` and ``trusted`` are None: how far a sum of blocks is off is not known then. A block that is not in the table and an
    architecture of another space raise errors that name them.
    """
    require_known("statistic", statistic, QUANTILES)
    if confidence is not None:
        require_level(confidence)
    path, table = one_table(workspace, device, asked)
    named = space or table.facts.get(SPACE_FACT)
    searched = stored_space(workspace) if named is None else _covered(table, str(named), workspace.store.root, text)
    arch = find_architecture(searched, workspace.store.root, text)
    table = table.at_resolution(family_of(searched).resolution(searched, arch))
    model = chosen_latency(table, searched, statistic=statistic)
    bounded = model.intervals is not None
    if not bounded and statistic != "p50":
        raise PredictorError(
            f"{table.label}: no {statistic} is known without measured whole networks of space '{searched.name}'; ask for p50"
        )
    if not bounded and confidence is not None:
        raise PredictorError(
            f"{table.label}: nothing bounds a sum of blocks without measured whole networks of space '{searched.name}'; "
            "profile the device, or ask for no confidence"
        )
    model = model.at(confidence)
    predicted = model.predict(arch.codes)
    std = float(predicted.std[0])
    blocks = blocks_of(searched, arch)
    return {
        "arch": arch.id,
        "space": searched.name,
        "choices": searched.values(arch.indices),
        "summary": family_of(searched).describe(searched, arch),
        **table.context,
        "statistic": statistic,
        "predicted_ms": float(predicted.mean[0]),
        "std_ms": None if math.isnan(std) else std,
        "at_most_ms": float(model.upper(arch.codes)[0]) if bounded else None,
        "confidence": model.confidence if bounded else None,
        "trusted": not model.outside(arch.codes)[0] if bounded else None,
        "model": model.kind,
        "why": why(model),
        "networks": model.networks,
        "blocks": [{"block": block.key, "ms": table.entries[block.key].quantile_ms("p50")} for block in blocks],
        "table": str(path),
    }


def _covered(table: LatencyTable, name: str, runs: Path, text: str) -> SearchSpace:
    """The space ``name`` at the resolutions that the table knows; a subnet at another one raises `TableError` that names a block."""
    if text.lstrip().startswith("{"):
        whole = find_space(name)
        table.require_blocks(blocks_of(whole, find_architecture(whole, runs, text)))
    return covered_space(table, name)
