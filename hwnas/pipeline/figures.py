"""``hwnas runs plot``: figures of searches that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.arch import SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats
from hwnas.pipeline.results import evaluated, one_search
from hwnas.pipeline.searching import stored_space
from hwnas.report.searches import Cloud, draw_choices, draw_fronts, draw_progress
from hwnas.search.pareto import pareto_front
from hwnas.workspace import Workspace


def plot(workspace: Workspace, names: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """``front``, ``progress`` and ``choices`` in ``folder``, each as PNG and SVG, of searches of one target and space.

    Searches by the same strategy that differ in their seed make a band in ``progress``; ``choices`` are those of the first search.
    """
    records = [one_search(workspace.store, name) for name in dict.fromkeys(names)]
    first = records[0]
    for record in records[1:]:
        if record["target"] != first["target"] or record["space_id"] != first["space_id"]:
            raise ConfigError(f"searches {first['run']} and {record['run']} are of different targets; their times cannot share an axis")
    space = stored_space(workspace)
    if space.id != first["space_id"]:
        raise ConfigError(f"search {first['run']} is of another space ({first['space']}) than the workspace's, '{space.name}'")
    found = [evaluated(workspace.store, record) for record in records]
    title = f"{first['space']} on {first['device']}/{first['runtime']} {first['precision']}"
    budget = max(first["budgets"], key=lambda row: row["budget_ms"])
    clouds = [_cloud(record, lines) for record, lines in zip(records, found, strict=True)]
    runs: dict[str, list[Floats]] = {}
    for record, lines in zip(records, found, strict=True):
        runs.setdefault(str(record["strategy"]), []).append(_best_so_far(lines, budget["budget_ms"]))
    codes = np.array([found[0][row]["codes"] for row in clouds[0].front], dtype=np.int16)
    return (
        *draw_fronts(clouds, [row["budget_ms"] for row in first["budgets"]], folder / "front.png", title=title),
        *draw_progress(runs, folder / "progress.png", title=f"{title}, at most {budget['budget_ms']:.4g} ms"),
        *draw_choices(clouds[0].latency_ms[clouds[0].front], chosen_along(space, codes), folder / "choices.png", title=title),
    )


def _cloud(record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> Cloud:
    latency, accuracy = (np.array([line[name] for line in lines]) for name in ("predicted_hi_ms", "accuracy"))
    kept = np.flatnonzero([line["kept"] for line in lines])
    front = kept[pareto_front(np.stack([latency[kept], -accuracy[kept]], axis=1))]
    return Cloud(f"{record['strategy']}, seed {record['seed']}", latency, accuracy, front)


def _best_so_far(lines: Sequence[Mapping[str, Any]], budget_ms: float) -> Floats:
    """After each evaluation the best accuracy within the budget, ``(n,)``; NaN before there is one."""
    fits = [line["accuracy"] if line["kept"] and line["predicted_hi_ms"] <= budget_ms else -np.inf for line in lines]
    best = np.maximum.accumulate(np.array(fits))
    return np.where(np.isfinite(best), best, np.nan)


def chosen_along(space: SearchSpace, codes: Any) -> dict[str, list[Counter[str]]]:
    """For each kind of choice, the last word of its name, how often each architecture takes each option."""
    kinds = list(dict.fromkeys(choice.name.rpartition(".")[2] for choice in space.choices if len(choice.options) > 1))
    counts: dict[str, list[Counter[str]]] = {kind: [] for kind in kinds}
    for code in codes:
        values = space.values(code)
        for kind in kinds:
            counts[kind].append(Counter(str(option) for name, option in values.items() if name.rpartition(".")[2] == kind))
    return counts
