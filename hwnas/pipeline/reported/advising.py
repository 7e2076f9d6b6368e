"""What to run next, from what a run shows: each line rests on a figure of the run and names it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np

from hwnas.pipeline.kept import KeptSearch
from hwnas.pipeline.reported.profiles import label_of
from hwnas.pipeline.reported.sources import Source
from hwnas.pipeline.reported.targets import Rows, rows_of, target_of_row
from hwnas.report.page.items import Advice

ROOM = 0.15
"""A file this far below its budget, as a share, leaves room for a larger subnet."""
DRIFT = 0.10
WIDE = 0.05
LATE = 0.8
"""A search that improved after this share of its evaluations may not be at its end."""
QUIET = 0.05

Line = tuple[str, str]


def advice_of(source: Source) -> Advice:
    """What to do next; where nothing is wanting, that is said."""
    rows = rows_of(source)
    lines = [*_budgets(rows), *_drift(source), *_tables(source), *_small(rows), *_searches(source)]
    if not lines:
        lines = [("Every budget is kept, the device was as its tables say, and the search was at its end: the files can ship.", "hwnas ci")]
    return Advice("What to run next", tuple(lines))


def _budgets(rows: Rows) -> Iterator[Line]:
    for row in rows:
        name = f"{target_of_row(row)} {row['budget']}"
        measured, budget = row.get("measured_ms"), row.get("budget_ms")
        if row["verdict"] != "ok":
            yield (
                f"{name}: no file keeps the budget. Raise it, allow more candidates (search.candidates), or profile again.",
                f"hwnas profile {shlex.quote(str(row['device']))} --again",
            )
        elif measured and budget and measured < (1 - ROOM) * budget:
            text = f"{name}: measured {100 * (1 - measured / budget):.0f} % below its budget; the predictor's bound is wide."
            yield f"{text} More whole networks make the bound narrower (profile.networks in hwnas.toml).", "hwnas run"
        if row.get("trusted") is False:
            yield f"{name}: the subnet lies outside of what was measured; its measured time alone counts.", ""


def _drift(source: Source) -> Iterator[Line]:
    for manifest in source.manifests:
        drift = manifest.get("device_drift")
        if drift is not None and abs(drift) > DRIFT:
            text = f"{manifest['name']}: the device was {100 * drift:+.0f} % slower while files were timed than for its table."
            device = manifest["latency"]["device"]
            yield f"{text} See whether the table still holds.", f"hwnas profile {shlex.quote(str(device))} --refresh"


def _tables(source: Source) -> Iterator[Line]:
    for table in source.tables:
        if table.regime == "typical":
            continue
        wide = [key for key, one in table.entries.items() if one.half_width("p50") > WIDE]
        again = f"hwnas profile {shlex.quote(table.device)} --again"
        if wide:
            text = (
                f"{label_of(table)}: the medians of {len(wide)} of {len(table.entries)} models are known to ± {100 * WIDE:.0f} % or worse."
            )
            yield f"{text} Measure again when less else runs there, or for longer (profile.max_seconds).", again
        share = table.facts.get("quiet_share")
        if isinstance(share, (int, float)) and share < QUIET:
            yield f"{label_of(table)}: the device was quiet for {100 * share:.1f} % of the time only; free it of other work.", again


def _small(rows: Rows) -> Iterator[Line]:
    slower = [
        target_of_row(row)
        for row in rows
        if row.get("int8") and row["int8"].get("measured_ms") and row.get("measured_ms") and row["int8"]["measured_ms"] > row["measured_ms"]
    ]
    for target in dict.fromkeys(slower):
        budgets = sum(target_of_row(row) == target for row in rows)
        text = f"{target}: 8-bit files are slower than fp32 in {slower.count(target)} of {budgets} budgets."
        yield f"{text} Leave [int8] out of its recipe, or try another runtime.", ""


def _searches(source: Source) -> Iterator[Line]:
    if not source.searches:
        yield "The run kept no record of its search; run it again to see the front and how it was found.", "hwnas run"
    for search in source.searches:
        last = _last_gain(search)
        if last is not None and last > LATE:
            text = f"{target_of_row(search.asked)}: the search still improved after {100 * last:.0f} % of its evaluations."
            yield f"{text} Look at more architectures (search.trials in hwnas.toml).", "hwnas run"


def _last_gain(search: KeptSearch) -> float | None:
    """After which share of its evaluations the best of the largest budget was found; None of a search that is certain of its optimum."""
    arrays = search.arrays
    if search.asked.get("bound") == 0 or not search.asked["budgets"]:
        return None
    budget_ms = max(float(row["budget_ms"]) for row in search.asked["budgets"])
    fits = np.flatnonzero((arrays["upper_ms"] <= budget_ms) & arrays["kept"])
    return None if not len(fits) else float(fits[int(np.argmax(arrays["accuracy"][fits]))] + 1) / len(arrays["accuracy"])
