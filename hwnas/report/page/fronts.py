"""Charts of accuracy against latency, and of predicted against measured latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.predict import Floats
from hwnas.report.page.encoding import colour, number, only, spec, tips
from hwnas.report.page.items import Chart, NothingToShow, Row
from hwnas.report.page.thinning import thinned

EVALUATED, FRONT, PREDICTED, MEASURED, ACCEPTED = "evaluated", "front", "chosen, predicted", "chosen, measured", "accepted before"
_COLUMNS = ("kind", "label", "latency_ms", "accuracy_pct", "low_ms", "high_ms")


@dataclass(frozen=True, slots=True)
class Cloud:
    """All that a search evaluated: bounds of latency, ms, and accuracies as shares, ``(n,)``; ``front``: rows, by latency."""

    latency_ms: Floats
    accuracy: Floats
    front: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A subnet that was chosen for a budget; ``accuracy`` as a share. What was not measured is None."""

    target: str
    budget: str
    arch: str
    accuracy: float
    predicted_ms: float | None
    predicted_hi_ms: float | None
    measured_ms: float | None = None
    measured_ci_ms: tuple[float, float] | None = None
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """Something to hold a search against: a name, ms, and a share."""

    label: str
    latency_ms: float
    accuracy: float


def accuracy_chart(
    title: str, cloud: Cloud | None, chosen: Sequence[Deployed], baselines: Sequence[Point], budgets_ms: Sequence[float], *, points: int
) -> Chart:
    """Accuracy against latency on one target; at most ``points`` of the cloud are drawn."""
    marks = _marks(cloud, chosen, baselines)
    lines: list[Row] = [("budget", f"{ms:.4g} ms", ms, None, None, None) for ms in budgets_ms]
    drawn: list[Row] = [*marks, *lines]
    everything = None
    if cloud is not None:
        kept = thinned(cloud.latency_ms, cloud.accuracy, points)
        drawn = [*_evaluated(cloud, kept), *drawn]
        if len(kept) < len(cloud.latency_ms):
            everything = [*_evaluated(cloud, np.arange(len(cloud.latency_ms))), *marks, *lines]
    kinds = [kind for kind in (EVALUATED, FRONT, PREDICTED, MEASURED, ACCEPTED) if any(row[0] == kind for row in drawn)]
    text = _accuracy_text(cloud, chosen, baselines, None if cloud is None else len(kept))
    return Chart(title, text, spec(_layers([*kinds, *(["budget"] if lines else [])]), height=360), _COLUMNS, drawn, everything)


def _marks(cloud: Cloud | None, chosen: Sequence[Deployed], baselines: Sequence[Point]) -> list[Row]:
    rows: list[Row] = []
    if cloud is not None:
        front = zip(cloud.latency_ms[cloud.front].tolist(), cloud.accuracy[cloud.front].tolist(), strict=True)
        rows += [(FRONT, "", ms, 100 * share, None, None) for ms, share in front]
    for each in chosen:
        label = f"{each.budget}: {each.arch}"
        if each.predicted_hi_ms is not None:
            rows.append((PREDICTED, label, each.predicted_hi_ms, 100 * each.accuracy, each.predicted_ms, each.predicted_hi_ms))
        if each.measured_ms is not None:
            low, high = each.measured_ci_ms or (each.measured_ms, each.measured_ms)
            rows.append((MEASURED, label, each.measured_ms, 100 * each.accuracy, low, high))
    return rows + [(ACCEPTED, point.label, point.latency_ms, 100 * point.accuracy, None, None) for point in baselines]


def _evaluated(cloud: Cloud, rows: NDArray[np.intp]) -> list[Row]:
    return [
        (EVALUATED, "", ms, 100 * share, None, None)
        for ms, share in zip(cloud.latency_ms[rows].tolist(), cloud.accuracy[rows].tolist(), strict=True)
    ]


def _layers(kinds: Sequence[str]) -> list[dict[str, object]]:
    """One a kind; of a kind without rows none, as its axes would have no extent."""
    x, y = number("latency_ms", "latency, ms"), number("accuracy_pct", "accuracy, %")
    shared = {"x": x, "y": y, "color": colour("kind", [kind for kind in kinds if kind != "budget"])}
    known = tips(kind="what", label="which", latency_ms="ms", accuracy_pct="%", low_ms="from, ms", high_ms="to, ms")
    span = {**shared, "x": {**x, "field": "low_ms"}, "x2": {"field": "high_ms"}}
    line = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5}
    shapes = {PREDICTED: "cross", MEASURED: "diamond", ACCEPTED: "triangle-up"}
    layers: list[dict[str, object]] = []
    for kind in sorted(kinds, key=("budget", EVALUATED, FRONT, PREDICTED, MEASURED, ACCEPTED).index):
        own: dict[str, object] = {"transform": only("kind", kind)}
        if kind == "budget":
            layers.append({**own, "mark": {"type": "rule", "strokeDash": [3, 3], "opacity": 0.6}, "encoding": {"x": x}})
        elif kind == EVALUATED:
            layers.append({**own, "mark": {"type": "circle", "size": 9, "opacity": 0.35}, "encoding": shared})
        elif kind == FRONT:
            layers.append({**own, "mark": line, "encoding": {**shared, "order": {"field": "latency_ms"}}})
        else:
            if kind != ACCEPTED:
                layers.append({**own, "mark": {"type": "rule", "strokeWidth": 2}, "encoding": span})
            mark = {"type": "point", "filled": True, "size": 90, "shape": shapes[kind], "opacity": 1}
            layers.append({**own, "mark": mark, "encoding": {**shared, "tooltip": known}})
    return layers


def _accuracy_text(cloud: Cloud | None, chosen: Sequence[Deployed], baselines: Sequence[Point], shown: int | None) -> str:
    said = []
    if cloud is not None:
        n, front = len(cloud.latency_ms), cloud.front
        said.append(f"{n:,} architectures were evaluated by prediction{f', of which {shown:,} are drawn' if shown != n else ''}.")
        if len(front):
            ends = [f"{100 * cloud.accuracy[i]:.1f} % at {cloud.latency_ms[i]:.4g} ms" for i in (front[0], front[-1])]
            said.append(f"The front has {len(front)}, from {ends[0]} to {ends[1]} (upper bounds of latency).")
    if cloud is not None and any(each.measured_ms is not None for each in chosen):
        said.append("Accuracies of the cloud and the front are predicted, those of chosen subnets are of the test part.")
    for each in chosen:
        time = f"at most {each.predicted_hi_ms:.4g} ms predicted" if each.measured_ms is None else f"{each.measured_ms:.4g} ms measured"
        said.append(f"Chosen for {each.budget}: {100 * each.accuracy:.1f} %, {time}.")
    said += [f"Accepted before, {p.label}: {100 * p.accuracy:.1f} % at {p.latency_ms:.4g} ms." for p in baselines]
    return " ".join(said)


def prediction_chart(title: str, tried: Sequence[Deployed]) -> Chart:
    """Predicted against measured latency, with both intervals; what lies on the dashed line was predicted exactly."""
    rows: list[Row] = []
    for each in tried:
        if each.predicted_ms is None or each.measured_ms is None:
            continue
        low, high = each.measured_ci_ms or (each.measured_ms, each.measured_ms)
        label = f"{each.budget}: {each.arch}{'' if each.fits else ', over its budget'}"
        rows.append((each.target, label, each.predicted_ms, each.predicted_hi_ms, each.measured_ms, low, high))
    if not rows:
        raise NothingToShow("nothing was both predicted and measured")
    times = [float(row[i] or 0) for row in rows for i in (2, 4)]
    targets = list(dict.fromkeys(str(row[0]) for row in rows))
    ratios = [float(row[4] or 0) / float(row[2] or 1) for row in rows]
    x, y = number("predicted_ms", "predicted latency, ms"), number("measured_ms", "measured latency, ms")
    shared = {"x": x, "y": y, "color": colour("target", targets)}
    ends: list[Row] = [("equal", "", value, None, value, None, None) for value in (min(times), max(times))]
    known = tips(target="target", label="which", predicted_ms="predicted, ms", predicted_hi_ms="at most, ms", measured_ms="measured, ms")
    layers = [
        {
            "transform": only("target", "equal"),
            "mark": {"type": "line", "strokeDash": [4, 4], "opacity": 0.6},
            "encoding": {"x": x, "y": y},
        },
        {"transform": only("target", *targets), "mark": "rule", "encoding": {**shared, "x2": {"field": "predicted_hi_ms"}}},
        {
            "transform": only("target", *targets),
            "mark": "rule",
            "encoding": {**shared, "y": {**y, "field": "low_ms"}, "y2": {"field": "high_ms"}},
        },
        {
            "transform": only("target", *targets),
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {**shared, "tooltip": known},
        },
    ]
    text = (
        f"{len(rows)} exported files: measured over predicted latency has a median of {float(np.median(ratios)):.3f} and lies between "
        f"{min(ratios):.3f} and {max(ratios):.3f}. Lines to the right reach to the predicted bound, upright ones are 95 % intervals."
    )
    columns = ("target", "label", "predicted_ms", "predicted_hi_ms", "measured_ms", "low_ms", "high_ms")
    return Chart(title, text, spec(layers), columns, [*rows, *ends])
