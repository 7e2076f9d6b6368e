"""Regrets over queries as a picture: the median of the seeds and a band between their quartiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.search._regret import Problem
from hwnas.core.figure import new_figure, save
from hwnas.core.predict import Floats

_COLUMNS = 3
_FIRST = 5
_LEAST = 5e-3
"""Regrets below this many points are drawn at it: the axis is logarithmic."""


def draw(problems: Sequence[Problem], regrets: Mapping[str, Floats], path: Path) -> tuple[Path, ...]:
    """A panel a problem, of ``regrets`` by strategy, ``(problems, seeds, queries)``; returns the PNG and the SVG file."""
    columns = min(_COLUMNS, len(problems))
    rows = -(-len(problems) // columns)
    figure = new_figure(4.2 * columns + 1.6, 3.2 * rows)
    lines = []
    for number, problem in enumerate(problems):
        axes = figure.add_subplot(rows, columns, number + 1)
        for index, (name, own) in enumerate(regrets.items()):
            shown = np.maximum(own[number][:, _FIRST - 1 :], _LEAST)
            low, median, high = np.quantile(shown, [0.25, 0.5, 0.75], axis=0)
            queries = np.arange(_FIRST, _FIRST + len(median))
            (line,) = axes.plot(queries, median, color=f"C{index}", label=name, linewidth=1.2)
            axes.fill_between(queries, low, high, color=f"C{index}", alpha=0.12, linewidth=0)
            lines += [line] if number == 0 else []
        axes.set(xscale="log", yscale="log", title=problem.name, xlabel="queries", ylabel="regret, points")
    figure.legend(handles=lines, loc="outside right upper")
    return save(figure, path)
