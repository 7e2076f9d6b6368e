"""Every figure of a report as files: PNG and SVG to be shown elsewhere, CSV with all of its data."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from hwnas.core.serial import write_atomic
from hwnas.report.page.engine import png, svg, svg_as_png
from hwnas.report.page.graph import graph_svg
from hwnas.report.page.items import Cell, Chart, Drawing, Grid, Report, Row, named

INDEX = "index.csv"


def write_figures(report: Report, folder: Path) -> tuple[Path, ...]:
    """``<name>.png``, ``.svg`` and ``.csv`` of every chart and graph, ``.csv`` of every table, and `INDEX`, which says what they are."""
    written, index = [], []
    for name, item in named(report):
        files = [(folder / f"{name}.csv", _csv(*_data(item)).encode())]
        if isinstance(item, Chart):
            files += [(folder / f"{name}.svg", svg(item).encode()), (folder / f"{name}.png", png(item))]
        elif isinstance(item, Drawing):
            alone = graph_svg(item, alone=True)
            files += [(folder / f"{name}.svg", alone.encode()), (folder / f"{name}.png", svg_as_png(alone))]
        for path, content in files:
            write_atomic(path, content)
            written.append(path)
        index.append((name, item.title, item.text))
    write_atomic(folder / INDEX, _csv(("name", "title", "text"), index))
    return (*written, folder / INDEX)


def _data(item: Chart | Drawing | Grid) -> tuple[Sequence[str], Iterable[Row]]:
    if isinstance(item, Chart):
        return item.columns, item.data
    if isinstance(item, Drawing):
        return ("stage", "label", "block", "time_ms"), [(box.stage, box.label, box.key, box.time_ms) for box in item.boxes]
    return item.columns, item.rows


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return out.getvalue()


def _plain(value: Cell) -> Cell:
    """Text that a spreadsheet would take for a formula is kept from being one."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
