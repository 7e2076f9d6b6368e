"""Charts from plain numbers: their data are what they were given, their words say it, and the library draws them."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.report.page.comparison import Compared, comparison_chart
from hwnas.report.page.engine import svg
from hwnas.report.page.folder import INDEX, write_figures
from hwnas.report.page.fronts import Cloud, Deployed, Point, accuracy_chart, prediction_chart
from hwnas.report.page.graph import graph_svg
from hwnas.report.page.items import Box, Chart, Drawing, Grid, NothingToShow, Report, Section, named
from hwnas.report.page.live import loss_chart, watched_chart
from hwnas.report.page.quality import Timed, heat_chart, noise_chart, rejected_chart, speed_chart
from hwnas.report.page.searched import choice_chart, progress_chart
from hwnas.report.page.thinning import thinned

RNG = np.random.default_rng(0)
CLOUD = Cloud(RNG.uniform(1, 5, 500), RNG.uniform(0.5, 0.8, 500), np.array([3, 5, 9]))
CHOSEN = [
    Deployed("d/r fp32", "60%", "ab", 0.81, 1.2, 1.4, 1.3, (1.25, 1.35)),
    Deployed("d/r fp32", "80%", "cd", 0.84, 2.2, 2.4, 3.0, (2.9, 3.1), False),
]
TIMED = [Timed("d/r", f"block-{i}", 0.1 * (i + 1), 0.01 * (i + 1), 30, 10 * i) for i in range(9)]

CHARTS = {
    "accuracy": accuracy_chart("t", CLOUD, CHOSEN, [Point("old", 2.0, 0.7)], [2.0, 3.0], points=100),
    "accuracy without a search": accuracy_chart("t", None, CHOSEN, (), [], points=100),
    "prediction": prediction_chart("t", CHOSEN),
    "noise": noise_chart("t", TIMED),
    "rejected": rejected_chart("t", TIMED),
    "speed": speed_chart("t", [("d/r, table", i, 100.0 if i < 5 else 190.0) for i in range(9)]),
    "heat": heat_chart("t", [(s, k, e, 0.01 * k * e) for s in ("16→16, 6 px", "32→32, 3 px") for k in (3, 5) for e in (3, 6)]),
    "progress": progress_chart("t", {"60%": np.array([np.nan, 0.5, 0.5, 0.7]), "80%": np.array([0.4, 0.5, 0.6, 0.8])}),
    "choices": choice_chart("t", np.array([1.0, 2.0]), [{"3": 2, "7": 1}, {"7": 3}]),
    "loss": loss_chart("t", [(0.0, 2.3), (0.5, 1.1)], epochs=3),
    "watched": watched_chart("t", [(256, {"60%": 0.5}), (512, {"60%": 0.6, "80%": 0.7})]),
    "comparison": comparison_chart("t", [Compared("a", "d/r", "60%", "x", 1.0, 0.7), Compared("b", "d/r", "60%", "y", 0.9, 0.75)]),
}  # fmt: skip


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_every_chart_is_drawn_with_its_data_and_is_put_into_words(chart: Chart) -> None:
    assert all(len(row) == len(chart.columns) for row in chart.data)
    assert any(letter.isdigit() for letter in chart.text)
    drawn = ElementTree.fromstring(svg(chart))
    marks = [e for e in drawn.iter() if "mark-" in e.get("class", "") and "role-mark" in e.get("class", "") and len(e)]
    assert marks


def test_the_words_hold_the_figures() -> None:
    assert "500 architectures" in CHARTS["accuracy"].text
    assert "of which 1" not in CHARTS["accuracy without a search"].text
    assert "Chosen for 80%: 84.0 %, 3 ms measured" in CHARTS["accuracy"].text
    assert "between 1.083 and 1.364" in CHARTS["prediction"].text
    assert "2 speeds" in CHARTS["speed"].text
    assert "last improved at evaluation 4 of 4" in CHARTS["progress"].text
    assert "3: 67 % at the quick end, 0 % at the other" in CHARTS["choices"].text
    assert "block-8" in CHARTS["noise"].text


def test_a_cloud_is_thinned_and_its_data_are_not() -> None:
    chart = CHARTS["accuracy"]
    assert sum(row[0] == "evaluated" for row in chart.rows) == 100
    assert sum(row[0] == "evaluated" for row in chart.data) == 500


@given(st.integers(0, 300), st.integers(1, 120), st.integers(0, 9), st.booleans())
def test_thinning_keeps_order_count_and_every_cell_that_there_is_room_for(n: int, keep: int, seed: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), np.zeros(n) if flat else rng.normal(size=n)
    rows = thinned(x, y, keep)
    assert len(rows) <= keep
    assert (np.diff(rows) > 0).all()
    assert len(rows) == n or n > keep
    assert (rows == thinned(x, y, keep)).all()


def test_a_lone_point_far_from_the_crowd_is_kept() -> None:
    crowd = np.random.default_rng(1).normal(0, 0.01, 20_000)
    x, y = np.r_[crowd, 5.0], np.r_[crowd[::-1], 5.0]
    rows = thinned(x, y, 2000)
    assert 20_000 in rows
    assert len(rows) > 1000


@pytest.mark.parametrize(
    "make",
    [
        lambda: prediction_chart("t", []),
        lambda: noise_chart("t", []),
        lambda: rejected_chart("t", [Timed("d", "k", 1.0, None, 1, None)]),
        lambda: speed_chart("t", []),
        lambda: heat_chart("t", []),
        lambda: progress_chart("t", {"60%": np.array([np.nan])}),
        lambda: choice_chart("t", np.array([]), []),
        lambda: loss_chart("t", [], epochs=1),
        lambda: watched_chart("t", []),
    ],
)
def test_what_has_nothing_to_show_says_so(make: object) -> None:
    with pytest.raises(NothingToShow, match=r"no|nothing|empty|holds"):
        make()  # type: ignore[operator]


HOSTILE = "<script>alert(1)</script>&\"'=cmd"
DRAWING = Drawing(HOSTILE, "two blocks", (Box("k3 ×6", "mbconv-x", "16 × 6²", 0.01), Box(HOSTILE, HOSTILE, HOSTILE, None)))


def test_a_graph_is_markup_that_holds_what_it_was_given_as_text() -> None:
    drawn = ElementTree.fromstring(graph_svg(DRAWING, alone=True))
    names = {element.tag.rpartition("}")[2] for element in drawn.iter()}
    assert names == {"svg", "style", "text", "g", "title", "rect", "path"}
    assert HOSTILE in {element.text for element in drawn.iter()}


def test_every_figure_is_written_with_all_of_its_data(tmp_path: Path) -> None:
    grid = Grid("table", ("name", "ms"), [("=1+1", 2.5), ("a,b", None)])
    report = Report("r", {}, (Section("s", (CHARTS["accuracy"], DRAWING, grid)),))
    written = {path.name for path in write_figures(report, tmp_path / "new")}
    drawn = {f"{name}.{suffix}" for name in ("chart-01", "graph-02") for suffix in ("csv", "svg", "png")}
    assert written == {*drawn, "table-03.csv", INDEX}
    assert (tmp_path / "new" / "chart-01.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "new" / "chart-01.csv").open(newline="") as file:
        assert sum(row["kind"] == "evaluated" for row in csv.DictReader(file)) == 500
    with (tmp_path / "new" / "table-03.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["name", "ms"], ["'=1+1", "2.5"], ["a,b", ""]]
    assert [name for name, _ in named(report)] == ["chart-01", "graph-02", "table-03"]
