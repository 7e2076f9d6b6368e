"""Charts of work that is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwnas.report.page.encoding import colour, number, spec, tips
from hwnas.report.page.items import Chart, NothingToShow, Row


def loss_chart(title: str, points: Sequence[tuple[float, float]], *, epochs: int) -> Chart:
    """The loss of a training by ``(epochs done, loss)``."""
    if not points:
        raise NothingToShow("no step is done yet")
    encoding = {
        "x": number("epoch", "epochs done", zero=True) | {"scale": {"domain": [0, max(epochs, 1)]}},
        "y": number("loss", "loss"),
        "tooltip": tips(epoch="epochs", loss="loss"),
    }
    text = f"{points[-1][0]:.2f} of {epochs} epochs are done; the loss was {points[0][1]:.3f} and is {points[-1][1]:.3f}."
    mark = {"type": "line", "point": {"size": 12}, "color": "#3b7dd8"}
    return Chart(title, text, spec([{"mark": mark, "encoding": encoding}], height=260), ("epoch", "loss"), list(points))


def watched_chart(title: str, notes: Sequence[tuple[int, Mapping[str, float]]]) -> Chart:
    """The best accuracy so far of a search that is under way, shares by budget, after so many evaluations."""
    rows: list[Row] = [(budget, count, 100 * share) for count, best in notes for budget, share in best.items()]
    if not rows:
        raise NothingToShow("nothing that was evaluated so far keeps a budget")
    budgets = list(dict.fromkeys(str(row[0]) for row in rows))
    encoding = {
        "x": number("evaluated", "architectures evaluated", zero=True),
        "y": number("best_pct", "best accuracy so far, %"),
        "color": colour("budget", budgets),
        "tooltip": tips(budget="budget", evaluated="after", best_pct="%"),
    }
    now = ", ".join(f"{budget}: {100 * share:.2f} %" for budget, share in notes[-1][1].items())
    text = f"{notes[-1][0]:,} architectures are evaluated. Best so far: {now}."
    mark = {"type": "line", "interpolate": "step-after", "point": {"size": 12}}
    return Chart(title, text, spec([{"mark": mark, "encoding": encoding}], height=260), ("budget", "evaluated", "best_pct"), rows)
