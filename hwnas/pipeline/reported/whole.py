"""The sections of a run of the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from hwnas.core.arch import SearchSpace
from hwnas.core.predict import Floats
from hwnas.latency.table import LatencyTable
from hwnas.pipeline.figures import chosen_along
from hwnas.pipeline.kept import KeptSearch
from hwnas.pipeline.reported.advising import advice_of
from hwnas.pipeline.reported.networks import drawings, heat_cells, side_by_side
from hwnas.pipeline.reported.places import readable, tried
from hwnas.pipeline.reported.profiles import drift_grid, label_of, levels_of, sessions_grid, tables_grid, timed_of
from hwnas.pipeline.reported.sources import Source
from hwnas.pipeline.reported.targets import Rows, baselines_of, clouds_of, deployed_of, rows_of, target_of_row, tried_of
from hwnas.report.page.fronts import accuracy_chart, prediction_chart
from hwnas.report.page.items import Grid, Item, Missing, NothingToShow, Row, Section
from hwnas.report.page.quality import heat_chart, noise_chart, rejected_chart, speed_chart
from hwnas.report.page.searched import choice_chart, progress_chart

LACKING = "this run kept no record of its search, as runs of older versions do not; run 'hwnas run' again to have it"


def sections_of_run(source: Source, *, points: int, run: str = "") -> list[Section]:
    """All sections; ``points`` is how many points the clouds of all targets may draw together."""
    parts = (
        ("Accuracy against latency", _accuracy(source, points)),
        ("What was chosen", _chosen(source)),
        ("Search", _searches(source)),
        ("Architectures", _architectures(source)),
        ("Parity and quantisation", tried("Parity and 8-bit files", lambda: parity_grid(source))),
        ("Quality of the profile", _quality(source)),
        ("Latency tables", _heat(source)),
        ("What to run next", tried("What to run next", lambda: advice_of(source))),
    )
    return [Section(title, items, run) for title, items in parts]


def _accuracy(source: Source, points: int) -> tuple[Item, ...]:
    clouds = tried("Searches", lambda: _charts(source, points))
    return (
        *clouds,
        *tried(
            "Predicted against measured latency", lambda: prediction_chart("Predicted against measured latency", list(tried_of(source)))
        ),
    )


def _charts(source: Source, points: int) -> Iterator[Item]:
    rows = rows_of(source)
    clouds, lacking = readable("The front and all that was evaluated", lambda: clouds_of(source))
    baselines, unread = readable("What was accepted before", lambda: baselines_of(source))
    targets = list(dict.fromkeys(map(target_of_row, rows)))
    for target in targets:
        own = [row for row in rows if target_of_row(row) == target]
        budgets = sorted({float(row["budget_ms"]) for row in own if row.get("budget_ms")})
        title = f"Accuracy against latency: {target}"
        yield accuracy_chart(
            title, clouds.get(target), [deployed_of(row) for row in own], baselines.get(target, ()), budgets, points=points // len(targets)
        )
        if target not in clouds and not lacking:
            yield Missing(f"The front and all that was evaluated: {target}", LACKING)
    yield from (*lacking, *unread)


def _chosen(source: Source) -> tuple[Item, ...]:
    return tried("Chosen for each budget", lambda: chosen_grid(rows_of(source)))


def chosen_grid(rows: Rows) -> Grid:
    """A row a budget; those that miss it are marked."""
    cells: list[Row] = []
    for row in rows:
        low, high = row.get("measured_ci_ms") or (None, None)
        shares = [None if row.get(name) is None else 100 * float(row[name]) for name in ("accuracy_val", "accuracy_test")]
        size = row.get("size_bytes")
        cells.append(
            (target_of_row(row), str(row["budget"]), row.get("budget_ms"), str(row["arch"]), *shares, row.get("predicted_ms"),
             row.get("predicted_hi_ms"), row.get("measured_ms"), low, high, None if size is None else size / 1000, str(row["verdict"]))
        )  # fmt: skip
    columns = (
        "target", "budget", "budget, ms", "subnet", "validation, %", "test, %", "predicted, ms", "at most, ms", "measured, ms", "from, ms",
        "to, ms", "kB", "verdict",
    )  # fmt: skip
    marked = frozenset(number for number, row in enumerate(rows) if row["verdict"] != "ok")
    said = sorted({f"{row['statistic']} in the {row['regime']} state" for row in rows})
    return Grid("Chosen for each budget", columns, cells, f"Latencies are the {' and the '.join(said)}; intervals are of 95 %.", marked)


def _searches(source: Source) -> tuple[Item, ...]:
    return tried("Search", lambda: _search_items(source))


def _search_items(source: Source) -> Iterator[Item]:
    if not source.searches:
        raise NothingToShow(LACKING)
    for search in source.searches:
        yield from search_items(source, search)


def search_items(source: Source, search: KeptSearch) -> Iterator[Item]:
    """How one search went and what its front chooses."""
    asked, arrays = search.asked, search.arrays
    name = f"{target_of_row(asked)} by {asked['strategy']}, seed {asked['seed']}"
    best = {f"{row['budget']} ({row['budget_ms']:.4g} ms)": best_so_far(arrays, float(row["budget_ms"])) for row in asked["budgets"]}
    yield from tried(f"Search progress: {name}", lambda: progress_chart(f"Search progress: {name}", best))

    def choices() -> Iterator[Item]:
        space = source.space(str(asked["space_id"]))
        latency = np.asarray(arrays["upper_ms"], dtype=np.float64)[search.front]
        for kind, counts in chosen_along(space, arrays["codes"][search.front]).items():
            yield choice_chart(f"How often each {kind} is used along the front: {name}", latency, counts)

    yield from tried(f"Choices along the front: {name}", choices)


def best_so_far(arrays: Mapping[str, Any], budget_ms: float) -> Floats:
    """After each evaluation the best accuracy within the budget, ``(n,)``; NaN before there is one."""
    fits = np.asarray(arrays["kept"], dtype=bool) & (arrays["upper_ms"] <= budget_ms)
    best = np.maximum.accumulate(np.where(fits, arrays["accuracy"], -np.inf))
    return np.where(np.isfinite(best), best, np.nan)


def _architectures(source: Source) -> tuple[Item, ...]:
    manifests = source.manifests

    def grid() -> Item:
        if not manifests:
            raise NothingToShow("the run wrote no files")
        return side_by_side({f"{m['name']}": m["architecture"] for m in manifests})

    def graphs() -> Iterator[Item]:
        space = source.space(str(manifests[0]["space"]["id"]))
        tables = {(t.device, t.runtime): t for t in sorted(source.tables, key=lambda t: t.regime != "quiet", reverse=True)}
        chosen = [
            (
                str(m["name"]),
                space.parse(m["architecture"]),
                tables.get((m["latency"]["device"], m["latency"]["runtime"])) if m.get("latency") else None,
            )
            for m in manifests
        ]
        yield from drawings(space, chosen)

    return (*tried("Chosen architectures side by side", grid), *tried("Chosen architectures as graphs", graphs))


def parity_grid(source: Source) -> Grid:
    """Exported files against their source, and the 8-bit files beside them; those that do not ship are marked."""
    rows: list[Row] = []
    kept = []
    for number, manifest in enumerate(source.manifests):
        parity, small = manifest["parity"], manifest.get("int8") or {}
        shares = [None if small.get(n) is None else 100 * float(small[n]) for n in ("accuracy_test", "top1_agreement")]
        ships = small.get("ships")
        if ships is False:
            kept.append(number)
        size = small.get("size_bytes")
        rows.append(
            (str(manifest["name"]), str(manifest["precision"]), parity["max_abs"], parity["limit"], parity["psnr_db"],
             100 * parity["top1_agreement"], 100 * float(manifest["metrics"]["accuracy_test"]), *shares, small.get("measured_ms"),
             None if size is None else size / 1000, ships, "; ".join(map(str, small.get("reasons") or ())))
        )  # fmt: skip
    if not rows:
        raise NothingToShow("the run wrote no files")
    columns = (
        "file", "precision", "largest difference", "allowed", "PSNR, dB", "same class, %", "test, %", "8-bit: test, %",
        "8-bit: same class, %", "8-bit: ms", "8-bit: kB", "8-bit: ships", "why not",
    )  # fmt: skip
    text = "Differences are of logits between file and network. Rows whose 8-bit file does not ship are marked."
    return Grid("Parity and 8-bit files", columns, rows, text, frozenset(kept))


def _quality(source: Source) -> tuple[Item, ...]:
    return (
        *tried("Latency tables", lambda: tables_grid(source.tables)),
        *tried("Noise", lambda: noise_chart("Noise: how sure each median is", timed_of(source.tables))),
        *tried("Rejected samples", lambda: rejected_chart("Rejected samples", timed_of(_quiet(source.tables)))),
        *tried("Speed states", lambda: speed_chart("Speed states of the device", levels_of(source.journal))),
        *tried("Sessions on the device", lambda: sessions_grid(source.journal)),
        *tried("Drift", lambda: drift_grid(source.manifests)),
    )


def _quiet(tables: list[LatencyTable]) -> list[LatencyTable]:
    """Tables whose samples can be rejected: in the typical regime every first attempt counts."""
    return [table for table in tables if table.regime != "typical"]


def _heat(source: Source) -> tuple[Item, ...]:
    def charts() -> Iterator[Item]:
        if not source.tables:
            raise NothingToShow("there is no latency table")
        space = source.space(_space_id(source))
        for table in _quiet(source.tables) or source.tables:
            title = f"Kernel × expand ratio × stage: {label_of(table)}"
            yield from tried(title, partial(_heat_chart, title, table, space))

    return tried("Heat of the latency tables", charts)


def _heat_chart(title: str, table: LatencyTable, space: SearchSpace) -> Item:
    return heat_chart(title, heat_cells(table, space))


def _space_id(source: Source) -> str:
    named = [str(manifest["space"]["id"]) for manifest in source.manifests]
    named += [network.arch.space_id for table in source.tables for network in table.networks.values()][:1]
    if not named:
        raise NothingToShow("nothing in the run says which space its blocks are of")
    return named[0]
