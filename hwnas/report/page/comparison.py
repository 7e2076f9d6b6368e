"""Charts of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.report.page.encoding import colour, number, spec, tips
from hwnas.report.page.items import Chart, Row


@dataclass(frozen=True, slots=True)
class Compared:
    """What a run has for a budget of a target: ms, and a share."""

    run: str
    target: str
    budget: str
    arch: str
    latency_ms: float
    accuracy: float


def comparison_chart(title: str, points: Sequence[Compared]) -> Chart:
    """Accuracy against latency, a line a run."""
    rows: list[Row] = [(p.run, f"{p.budget}: {p.arch}", p.latency_ms, 100 * p.accuracy) for p in points]
    runs = list(dict.fromkeys(p.run for p in points))
    encoding = {
        "x": number("latency_ms", "latency, ms"),
        "y": number("accuracy_pct", "accuracy, %"),
        "color": colour("run", runs),
        "order": {"field": "latency_ms"},
        "tooltip": tips(run="run", label="which", latency_ms="ms", accuracy_pct="%"),
    }
    said = [f"{run}: {', '.join(f'{100 * p.accuracy:.1f} % at {p.latency_ms:.4g} ms' for p in points if p.run == run)}." for run in runs]
    mark = {"type": "line", "point": {"size": 80}}
    columns = ("run", "label", "latency_ms", "accuracy_pct")
    return Chart(title, " ".join(said), spec([{"mark": mark, "encoding": encoding}], height=300), columns, rows)
