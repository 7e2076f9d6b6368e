"""Predicted against measured latency as a figure; needs matplotlib (the extra ``plot``)."""

from __future__ import annotations

from pathlib import Path

from hwnas.core.figure import new_figure, require_suffix, save
from hwnas.core.predict import Floats
from hwnas.latency.evaluate import Evaluation


def draw(evaluation: Evaluation, bounds: tuple[Floats, Floats] | None, path: Path, *, title: str) -> tuple[Path, ...]:
    """Write ``path`` as PNG and as SVG, whichever suffix it has; ``bounds (n,), (n,)`` ms are drawn as bars. Returns both files.

    Without matplotlib, or with another suffix, `ConfigError`.
    """
    require_suffix(path)
    figure = new_figure(6, 6)
    axes = figure.add_subplot()
    mean, measured = evaluation.predicted.mean, evaluation.measured_ms
    if bounds is not None:
        axes.errorbar(measured, mean, yerr=[mean - bounds[0], bounds[1] - mean], fmt="none", ecolor="0.75", linewidth=0.8, zorder=1)
    axes.scatter(measured, mean, s=14, zorder=2)
    low, high = float(min(measured.min(), mean.min())) * 0.95, float(max(measured.max(), mean.max())) * 1.05
    axes.plot([low, high], [low, high], color="0.3", linewidth=1)
    for factor in (0.9, 1.1):
        axes.plot([low, high], [factor * low, factor * high], color="0.3", linewidth=0.7, linestyle=":")
    axes.set(xlabel="measured, ms", ylabel="predicted, ms", title=title, xlim=(low, high), ylim=(low, high))
    return save(figure, path)
