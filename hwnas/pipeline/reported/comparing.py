"""Two runs or more beside each other, target by target and budget by budget."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from hwnas.core.serial import read_json
from hwnas.pipeline.reported.places import tried
from hwnas.pipeline.reported.sources import RUN, SEARCH, Source
from hwnas.pipeline.reported.targets import deployed_of, rows_of, target_of_row
from hwnas.report.page.comparison import Compared, comparison_chart
from hwnas.report.page.items import Cell, Grid, Item, Missing, NothingToShow, Row, Section


def comparison(sources: Sequence[Source]) -> Section:
    """What the others gained over the first, and which choices differ."""
    items: list[Item] = []
    points: dict[str, list[Compared]] = {}
    for source in sources:
        found = tried(f"{source.kind} {source.id}", partial(_remembered, source, points))
        items += [item for item in found if isinstance(item, Missing)]
    if len(points) > 1:
        every = [point for own in points.values() for point in own]
        for target in dict.fromkeys(point.target for point in every):
            title = f"Runs side by side: {target}"
            own = [point for point in every if point.target == target]
            items += tried(title, partial(comparison_chart, title, own))
        items.append(_gains(points))
    items.append(_choices(sources))
    return Section("Comparison", tuple(items))


def _remembered(source: Source, points: dict[str, list[Compared]]) -> tuple[Item, ...]:
    points[source.id] = _points(source)
    return ()


def _points(source: Source) -> list[Compared]:
    if source.kind == RUN:
        return [
            Compared(source.id, each.target, each.budget, each.arch, each.measured_ms or each.predicted_ms or 0.0, each.accuracy)
            for each in map(deployed_of, rows_of(source))
        ]
    if source.kind == SEARCH:
        record = read_json(source.folder / f"run-{source.id}.json")
        return [
            Compared(source.id, target_of_row(record), str(row["budget"]), str(row["arch"]), row["predicted_ms"], float(row["accuracy"]))
            for row in record["budgets"]
        ]
    raise NothingToShow("a stage has no results to compare yet")


def _gains(points: dict[str, list[Compared]]) -> Grid:
    first, *others = points
    rows: list[Row] = []
    for base in points[first]:
        for other in others:
            now = next((p for p in points[other] if (p.target, p.budget) == (base.target, base.budget)), None)
            if now is not None:
                gained = 100 * (now.accuracy - base.accuracy)
                slower = None if not base.latency_ms else 100 * (now.latency_ms / base.latency_ms - 1)
                rows.append((base.target, base.budget, other, 100 * base.accuracy, 100 * now.accuracy, gained, base.latency_ms,
                             now.latency_ms, slower, "same subnet" if now.arch == base.arch else f"{base.arch} → {now.arch}"))  # fmt: skip
    columns = ("target", "budget", "run", f"{first}: %", "this: %", "points gained", f"{first}: ms", "this: ms", "slower, %", "subnet")
    marked = frozenset(number for number, row in enumerate(rows) if float(row[5] or 0) < 0)
    text = f"Each run against {first}, where both have the same budget of the same target; rows that lost accuracy are marked."
    if not rows:
        text = "The runs have no budget of the same target in common."
    return Grid("Gained and lost", columns, rows, text, marked)


def _choices(sources: Sequence[Source]) -> Item:
    chosen: dict[str, dict[str, Any]] = {}
    for source in sources:
        for manifest in source.manifests:
            chosen[f"{source.id[:8]} {manifest['name']}"] = manifest["architecture"]
        path = source.folder / f"run-{source.id}.json"
        if source.kind == SEARCH and path.is_file():
            chosen |= {f"{source.id[:8]} {row['budget']}": row["choices"] for row in read_json(path)["budgets"]}
    if not chosen:
        return Missing("Choices that differ", "none of the runs wrote a file or found a subnet")
    names = dict.fromkeys(name for choices in chosen.values() for name in choices)
    rows: list[tuple[Cell, ...]] = [(name, *(_cell(choices.get(name)) for choices in chosen.values())) for name in names]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    return Grid(
        "Choices that differ", ("choice", *chosen), rows, f"{len(rows)} of {len(names)} choices differ among {len(chosen)} subnets."
    )


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, (int, float)) else str(value)
