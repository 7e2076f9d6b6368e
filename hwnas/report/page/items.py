"""What a report is made of: sections of charts, drawings, tables and advice, and what is said in the place of one that cannot be made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | float | int | bool | None
Row = tuple[Cell, ...]


class NothingToShow(ValueError):
    """A chart or table would be empty; the message says why, and stands in its place."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A Vega-Lite ``spec`` without data, and its data as ``columns`` and ``rows``, whose names the spec's fields are.

    ``text`` says what is seen, for those who do not see it. ``everything`` are all rows where ``rows`` are thinned to be drawn.
    """

    title: str
    text: str
    spec: Mapping[str, Any]
    columns: tuple[str, ...]
    rows: Sequence[Row]
    everything: Sequence[Row] | None = None

    @property
    def data(self) -> Sequence[Row]:
        """All rows, thinned or not."""
        return self.rows if self.everything is None else self.everything

    @property
    def drawn(self) -> list[list[Cell]]:
        """``rows`` as JSON takes them: six digits are more than a screen shows, and what is no number is None."""
        return [[_drawable(value) for value in row] for row in self.rows]


def _drawable(value: Cell) -> Cell:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Box:
    """One block of a network as it is drawn: a short label, what it is in full, its stage, and its time, ms, where that is known."""

    label: str
    key: str
    stage: str
    time_ms: float | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """An architecture as a graph: its blocks in order."""

    title: str
    text: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. ``marked`` are the rows to look at."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    text: str = ""
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next, a sentence each, with a command where there is one."""

    title: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """What stands in the place of a chart that cannot be made, and why."""

    title: str
    reason: str


Item = Chart | Drawing | Grid | Advice | Missing


@dataclass(frozen=True, slots=True)
class Section:
    """Items under a heading; ``run`` names whose they are where a report is of several runs."""

    title: str
    items: tuple[Item, ...]
    run: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All of a report; ``facts`` are shown at its top by name."""

    title: str
    facts: Mapping[str, str]
    sections: tuple[Section, ...]


def named(report: Report) -> list[tuple[str, Chart | Drawing | Grid]]:
    """What has data, each with a name that is good for files and anchors: the report's order decides it, nothing of what users wrote."""
    found = [item for section in report.sections for item in section.items if isinstance(item, (Chart, Drawing, Grid))]
    kinds = {Chart: "chart", Drawing: "graph", Grid: "table"}
    return [(f"{kinds[type(item)]}-{number:02d}", item) for number, item in enumerate(found, start=1)]
