"""What a run chose and measured, by target, as the charts take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.pipeline.reported.sources import Source
from hwnas.report.baseline import path_of, read_baseline
from hwnas.report.page.fronts import Cloud, Deployed, Point
from hwnas.report.page.items import NothingToShow

Rows = Sequence[Mapping[str, Any]]


def rows_of(source: Source) -> Rows:
    """A row a budget as in ``result.json``; of a run that was interrupted, from the manifests of the files that it had written."""
    if source.result is not None:
        rows: Rows = source.result["targets"]
        return rows
    rows = [_row_of_manifest(manifest) for manifest in source.manifests if manifest.get("latency")]
    if not rows:
        raise NothingToShow("the run was interrupted before it wrote a file; run 'hwnas run' again to go on")
    return rows


def _row_of_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    latency = manifest["latency"]
    figures = {name: latency.get(name) for name in ("budget_ms", "predicted_ms", "predicted_hi_ms", "measured_ms", "measured_ci_ms")}
    metrics = {name: manifest["metrics"].get(name) for name in ("accuracy_val", "accuracy_test")}
    where = {name: latency[name] for name in ("device", "runtime", "threads", "statistic", "regime")}
    budget = f"{latency['budget_ms']:.4g} ms" if latency.get("budget_ms") else str(manifest["name"])
    own = {name: manifest.get(name) for name in ("precision", "verdict", "int8")}
    return {**where, **figures, **metrics, **own, "budget": budget, "arch": manifest["arch_id"]}


def target_of_row(row: Mapping[str, Any]) -> str:
    """``device/runtime precision``."""
    return f"{row['device']}/{row['runtime']} {row['precision']}"


def deployed_of(row: Mapping[str, Any]) -> Deployed:
    """A row as a point: its accuracy on the test part, or on the validation part where that was not taken."""
    interval = row.get("measured_ci_ms")
    accuracy = row.get("accuracy_test")
    return Deployed(
        target_of_row(row),
        str(row["budget"]),
        str(row["arch"]),
        float(row["accuracy_val"] if accuracy is None else accuracy),
        row.get("predicted_ms"),
        row.get("predicted_hi_ms"),
        row.get("measured_ms"),
        None if interval is None else (float(interval[0]), float(interval[1])),
        row.get("verdict") == "ok",
    )


def tried_of(source: Source) -> Iterator[Deployed]:
    """Every file that was timed, also those that missed their budget, from the manifests."""
    for manifest in source.manifests:
        row = _row_of_manifest(manifest) if manifest.get("latency") else None
        for attempt in manifest.get("attempts") or ():
            if row is not None:
                values = {**row, **attempt, "arch": attempt["arch_id"], "verdict": "ok" if attempt["fits"] else "over budget"}
                values["predicted_hi_ms"] = row["predicted_hi_ms"] if attempt["arch_id"] == row["arch"] else None
                yield deployed_of(values)


def clouds_of(source: Source) -> dict[str, Cloud]:
    """What was evaluated, by target."""
    clouds = {}
    for search in source.searches:
        arrays = search.arrays
        upper, accuracy = (np.asarray(arrays[name], dtype=np.float64) for name in ("upper_ms", "accuracy"))
        clouds[target_of_row(search.asked)] = Cloud(upper, accuracy, search.front)
    return clouds


def baselines_of(source: Source) -> dict[str, list[Point]]:
    """What the workspace has accepted of the recipes of each target."""
    found: dict[str, list[Point]] = {}
    for name, recipe in source.workspace.recipes.items():
        baseline = read_baseline(path_of(source.workspace.root, name)) if path_of(source.workspace.root, name).is_file() else None
        if baseline is not None:
            key = f"{recipe.device}/{recipe.runtime} {recipe.precision}"
            points = [Point(f"{name} {budget}", known.measured_ms, known.accuracy_test) for budget, known in baseline.targets.items()]
            found.setdefault(key, []).extend(points)
    return found
