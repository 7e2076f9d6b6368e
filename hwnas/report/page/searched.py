"""Charts of how a search went, and of what its front chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hwnas.core.predict import Floats
from hwnas.report.page.encoding import colour, number, spec, tips
from hwnas.report.page.items import Chart, NothingToShow, Row

_BINS = 12


def progress_chart(title: str, best: Mapping[str, Floats]) -> Chart:
    """Best accuracy so far, shares, after each evaluation ``(n,)``, a line a budget; NaN before anything fitted."""
    rows: list[Row] = []
    said = []
    for budget, series in best.items():
        fits = np.flatnonzero(np.isfinite(series))
        if not len(fits):
            said.append(f"{budget}: nothing that was evaluated keeps it.")
            continue
        steps = fits[np.r_[True, np.diff(series[fits]) > 0]]
        shown = np.unique(np.r_[steps, len(series) - 1])
        rows += [(budget, int(i) + 1, 100 * float(series[i])) for i in shown]
        said.append(f"{budget}: {100 * series[-1]:.2f} %, last improved at evaluation {int(steps[-1]) + 1:,} of {len(series):,}.")
    if not rows:
        raise NothingToShow("nothing that was evaluated keeps any budget")
    encoding = {
        "x": number("evaluated", "architectures evaluated", log=True),
        "y": number("best_pct", "best accuracy so far, %"),
        "color": colour("budget", list(best)),
        "tooltip": tips(budget="budget", evaluated="after", best_pct="%"),
    }
    mark = {"type": "line", "interpolate": "step-after", "point": {"size": 14}}
    return Chart(title, " ".join(said), spec([{"mark": mark, "encoding": encoding}], height=240), ("budget", "evaluated", "best_pct"), rows)


def choice_chart(title: str, latency_ms: Floats, counts: Sequence[Mapping[str, int]]) -> Chart:
    """Shares of the options of one kind of choice along a front, ``(n,)`` ms; ``counts[i]``: how often its i-th network takes each."""
    if not len(latency_ms):
        raise NothingToShow("the front is empty")
    cut = np.array_split(np.arange(len(latency_ms)), min(_BINS, len(latency_ms)))
    options = sorted({option for each in counts for option in each}, key=_by_number)
    rows: list[Row] = []
    places: list[str] = []
    for bin_ in cut:
        place = f"{float(np.mean(latency_ms[bin_])):.4g}"
        place = place if place not in places else f"{place} ({len(places) + 1})"
        places.append(place)
        totals = [sum(counts[i].get(option, 0) for i in bin_) for option in options]
        rows += [(place, option, 100 * total / max(sum(totals), 1)) for option, total in zip(options, totals, strict=True)]
    encoding = {
        "x": {"field": "place", "type": "ordinal", "sort": places, "title": "latency along the front, at most, ms"},
        "y": number("share_pct", "share, %", zero=True) | {"stack": "zero", "scale": {"domain": [0, 100]}},
        "color": colour("option", options),
        "tooltip": tips(place="ms", option="option", share_pct="%"),
    }
    ends = [{option: share for at, option, share in rows if at == place} for place in (places[0], places[-1])]
    said = [
        f"{option}: {float(ends[0][option] or 0):.0f} % at the quick end, {float(ends[1][option] or 0):.0f} % at the other."
        for option in options
    ]
    return Chart(title, " ".join(said), spec([{"mark": "bar", "encoding": encoding}], height=190), ("place", "option", "share_pct"), rows)


def _by_number(option: str) -> tuple[float, str]:
    try:
        return float(option), option
    except ValueError:
        return float("inf"), option
