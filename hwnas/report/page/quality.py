"""Charts of how good a profile is, and of what its table says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.report.page.encoding import Encoding, colour, number, spec, tips
from hwnas.report.page.items import Cell, Chart, NothingToShow, Row


@dataclass(frozen=True, slots=True)
class Timed:
    """One model of a table: median, ms, half the width of its 95 % interval as a share of it (None: unknown), and its samples."""

    target: str
    key: str
    median_ms: float
    half_width: float | None
    samples: int
    rejected: int | None


def noise_chart(title: str, timed: Sequence[Timed]) -> Chart:
    """How sure each median is, against how long it takes."""
    rows: list[Row] = [(t.target, t.key, t.median_ms, 100 * t.half_width, t.samples) for t in timed if t.half_width is not None]
    if not rows:
        raise NothingToShow("no model has an interval")
    widths = np.array([float(row[3] or 0) for row in rows])
    worst = rows[int(np.argmax(widths))]
    targets = list(dict.fromkeys(t.target for t in timed))
    encoding = {
        "x": number("median_ms", "median, ms", log=True),
        "y": number("half_width_pct", "± of the median, %", zero=True),
        "color": colour("target", targets),
        "tooltip": tips(target="table", key="model", median_ms="median, ms", half_width_pct="± %", samples="samples"),
    }
    text = (
        f"{len(rows)} models: half the 95 % interval of a median is {np.median(widths):.2f} % of it for the median model and "
        f"{widths.max():.2f} % for the worst, {worst[1]}."
    )
    return Chart(
        title,
        text,
        spec([{"mark": {"type": "circle", "size": 36, "opacity": 0.7}, "encoding": encoding}], height=260),
        ("target", "key", "median_ms", "half_width_pct", "samples"),
        rows,
    )


def rejected_chart(title: str, timed: Sequence[Timed]) -> Chart:
    """How many models lost which share of their samples, a bar a tenth."""
    targets = list(dict.fromkeys(t.target for t in timed))
    rows: list[Row] = []
    said = []
    for target in targets:
        shares = np.array([t.rejected / (t.rejected + t.samples) for t in timed if t.target == target and t.rejected is not None])
        if not len(shares):
            continue
        counts, _ = np.histogram(shares, bins=10, range=(0, 1))
        rows += [(target, 10 * bin_, int(count)) for bin_, count in enumerate(counts)]
        said.append(f"{target}: {100 * shares.mean():.0f} % of all samples were rejected as disturbed, {100 * shares.max():.0f} % at most.")
    if not rows:
        raise NothingToShow("no table counts rejected samples")
    encoding = {
        "x": {"field": "rejected_pct", "type": "ordinal", "title": "samples rejected, from %", "axis": {"labelAngle": 0}},
        "y": number("models", "models", zero=True),
        "xOffset": {"field": "target"},
        "color": colour("target", targets),
        "tooltip": tips(target="table", rejected_pct="from %", models="models"),
    }
    return Chart(
        title, " ".join(said), spec([{"mark": "bar", "encoding": encoding}], height=200), ("target", "rejected_pct", "models"), rows
    )


def speed_chart(title: str, levels: Sequence[tuple[str, int, float]]) -> Chart:
    """The probe's quiet level, us, by ``(what, order, level)``: jumps are other speeds of the device."""
    if not levels:
        raise NothingToShow("no timing tells at which speed of the device it was made")
    kinds = list(dict.fromkeys(what for what, _, _ in levels))
    encoding = {
        "x": number("order", "timing, in the order in which they were made"),
        "y": number("level_us", "probe at its quiet level, us"),
        "color": colour("what", kinds),
        "tooltip": tips(what="of", order="timing", level_us="us"),
    }
    said = []
    for kind in kinds:
        own = np.array([level for what, _, level in levels if what == kind])
        said.append(f"{kind}: {len(own)} timings at {own.min():.1f} to {own.max():.1f} us, {_states(own)}.")
    mark = {"type": "point", "filled": True, "size": 16, "opacity": 0.8}
    return Chart(
        title, " ".join(said), spec([{"mark": mark, "encoding": encoding}], height=220), ("what", "order", "level_us"), list(levels)
    )


def _states(levels: np.ndarray) -> str:
    """Levels that lie apart by more than 8 % are other speeds."""
    ordered = np.sort(levels)
    count = 1 + int((ordered[1:] / ordered[:-1] > 1.08).sum())
    return "one speed" if count == 1 else f"{count} speeds"


def heat_chart(title: str, cells: Sequence[tuple[str, int, int, float]]) -> Chart:
    """Median times of a table's blocks by ``(stage, kernel, expand, ms)``, darkest where they are shortest within their stage."""
    if not cells:
        raise NothingToShow("the table holds no blocks with a kernel and an expand ratio")
    stages = list(dict.fromkeys(stage for stage, *_ in cells))
    options = sorted({(kernel, expand) for _, kernel, expand, _ in cells})
    names = {pair: f"k{pair[0]} ×{pair[1]}" for pair in options}
    low = {stage: min(ms for s, _, _, ms in cells if s == stage) for stage in stages}
    rows: list[Row] = [
        (stage, names[kernel, expand], kernel, expand, ms, ms / low[stage], f"{1000 * ms:.3g}") for stage, kernel, expand, ms in cells
    ]
    x = {"field": "choice", "type": "ordinal", "sort": list(names.values()), "title": "kernel × expand ratio", "axis": {"labelAngle": -40}}
    y = {"field": "stage", "type": "ordinal", "sort": stages, "title": None, "axis": {"labelLimit": 150}}
    scale = {"scheme": "viridis", "type": "log"}
    shade = {"field": "relative", "type": "quantitative", "scale": scale, "legend": None}
    ink = {"condition": {"test": "datum.relative > sqrt(domain('color')[1])", "value": "#101418"}, "value": "#ffffff"}
    known = tips(stage="block", choice="choice", time_ms="ms", relative="times the quickest of the block")
    layers: list[Encoding] = [
        {"mark": "rect", "encoding": {"x": x, "y": y, "color": shade, "tooltip": known}},
        {"mark": {"type": "text", "fontSize": 10}, "encoding": {"x": x, "y": y, "text": {"field": "shown_us"}, "color": ink}},
    ]
    spread = [max(float(row[5] or 1) for row in rows if row[0] == stage) for stage in stages]
    slowest: Cell = max(cells, key=lambda cell: cell[3])[0]
    text = (
        f"Median times, us, of {len(cells)} blocks in {len(stages)} places of the network. Within a place the slowest choice takes "
        f"{min(spread):.2f} to {max(spread):.2f} times as long as the quickest; the longest times are in {slowest}."
    )
    columns = ("stage", "choice", "kernel", "expand", "time_ms", "relative", "shown_us")
    return Chart(title, text, spec(layers, height=60 + 24 * len(stages)), columns, rows)
