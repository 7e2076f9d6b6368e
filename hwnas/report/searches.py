"""Figures of searches: the front in its cloud, how fast a search got there, and what the front chooses along the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.core.figure import new_figure, save
from hwnas.core.predict import Floats

_BINS = 12
_BAND = (10, 90)


@dataclass(frozen=True, slots=True)
class Cloud:
    """One search: ``latency_ms`` (the bound) and ``accuracy`` (shares) of all that it evaluated, ``(n,)``; ``front``: rows, by latency."""

    label: str
    latency_ms: Floats
    accuracy: Floats
    front: NDArray[np.intp]


def draw_fronts(clouds: Sequence[Cloud], budgets_ms: Sequence[float], path: Path, *, title: str) -> tuple[Path, ...]:
    """Accuracy against latency: all that was evaluated, faintly, each front as steps, and the budgets as lines."""
    figure = new_figure(7, 5)
    axes = figure.add_subplot()
    for number, cloud in enumerate(clouds):
        colour = f"C{number}"
        axes.scatter(cloud.latency_ms, 100 * cloud.accuracy, s=3, color=colour, alpha=0.15, linewidths=0, rasterized=True)
        axes.step(
            cloud.latency_ms[cloud.front], 100 * cloud.accuracy[cloud.front], where="post", color=colour, linewidth=1.6, label=cloud.label
        )
    for budget_ms in budgets_ms:
        axes.axvline(budget_ms, color="0.6", linewidth=0.7, linestyle=":")
    axes.set(xlabel="predicted latency, at most, ms", ylabel="predicted accuracy, %", title=title)
    axes.legend(loc="lower right")
    return save(figure, path)


def draw_progress(runs: Mapping[str, Sequence[Floats]], path: Path, *, title: str) -> tuple[Path, ...]:
    """Best accuracy so far against evaluations, a line a label: the median of its runs, with a band from the 10 % to the 90 % quantile.

    Of every run its best so far, ``(n,)`` shares, NaN before anything fitted; runs are cut to the shortest of their label.
    """
    figure = new_figure(7, 5)
    axes = figure.add_subplot()
    for number, (label, series) in enumerate(runs.items()):
        length = min(map(len, series))
        values = 100 * np.stack([each[:length] for each in series])
        begun = int(np.argmax(np.isfinite(values).all(axis=0)))
        x = np.arange(begun, length) + 1
        shown = f"{label}, {len(series)} seed" + "s" * (len(series) > 1)
        axes.plot(x, np.median(values[:, begun:], axis=0), color=f"C{number}", label=shown, drawstyle="steps-post")
        if len(series) > 1:
            low, high = np.percentile(values[:, begun:], _BAND, axis=0)
            axes.fill_between(x, low, high, color=f"C{number}", alpha=0.2, linewidth=0, step="post")
    axes.set(xlabel="architectures evaluated", ylabel="best predicted accuracy so far, %", title=title, xscale="log")
    axes.legend(loc="lower right")
    return save(figure, path)


def draw_choices(latency_ms: Floats, chosen: Mapping[str, Sequence[Mapping[str, int]]], path: Path, *, title: str) -> tuple[Path, ...]:
    """What the front chooses, a panel a kind of choice (``kernel``, ``depth``): shares of its options along the front.

    ``chosen[kind][i]`` counts the options of that kind in the i-th architecture of the front, whose latencies are ``latency_ms (n,)``.
    """
    figure = new_figure(7, 1.2 + 1.7 * len(chosen))
    axes = np.atleast_1d(figure.subplots(len(chosen), 1, sharex=True))
    cut = np.array_split(np.arange(len(latency_ms)), min(_BINS, len(latency_ms)))
    middle = [float(np.mean(latency_ms[rows])) for rows in cut]
    for panel, (kind, counts) in zip(axes, chosen.items(), strict=True):
        options = sorted({option for each in counts for option in each}, key=_by_number)
        totals = np.array([[sum(counts[i].get(option, 0) for i in rows) for rows in cut] for option in options], dtype=np.float64)
        shares = 100 * totals / np.maximum(totals.sum(axis=0), 1)
        below = np.zeros(len(cut))
        for number, option in enumerate(options):
            panel.bar(range(len(cut)), shares[number], bottom=below, width=0.95, label=option, color=f"C{number % 10}")
            below += shares[number]
        panel.set(ylabel=f"{kind}, %", ylim=(0, 100))
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    axes[0].set_title(title)
    axes[-1].set_xticks(range(len(cut)), [f"{ms:.4g}" for ms in middle], rotation=45)
    axes[-1].set_xlabel("predicted latency, at most, ms")
    return save(figure, path)


def _by_number(option: str) -> tuple[float, str]:
    try:
        return float(option), option
    except ValueError:
        return float("inf"), option
