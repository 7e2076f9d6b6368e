"""Figures of searches: files that are there, the same for the same numbers, and show what they are given."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from hwnas.core.errors import ConfigError
from hwnas.core.figure import require_suffix
from hwnas.report.searches import Cloud, draw_choices, draw_fronts, draw_progress

RNG = np.random.default_rng(0)
CLOUD = Cloud("random, seed 1", RNG.uniform(1, 5, 200), RNG.uniform(0.5, 0.8, 200), np.array([3, 5, 9]))


def texts(svg: Path) -> str:
    """All that an SVG says: matplotlib writes each text as a comment beside its outline."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(svg, parser).getroot()
    return " | ".join(str(e.text).strip() for e in root.iter() if e.tag is ElementTree.Comment)


def check(written: tuple[Path, ...]) -> str:
    png, svg = written
    assert (png.suffix, svg.suffix) == (".png", ".svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    return texts(svg)


def test_fronts_name_their_search_and_are_the_same_every_time(tmp_path: Path) -> None:
    said = check(draw_fronts([CLOUD], [2.0, 3.0], tmp_path / "new" / "front.png", title="tiny on toy"))
    for words in ("random, seed 1", "tiny on toy", "predicted accuracy, %"):
        assert words in said
    again = draw_fronts([CLOUD], [2.0, 3.0], tmp_path / "again.svg", title="tiny on toy")
    assert [path.read_bytes() for path in again] == [(tmp_path / "new" / f"front{s}").read_bytes() for s in (".png", ".svg")]


def test_progress_has_a_line_a_strategy_and_says_how_many_seeds(tmp_path: Path) -> None:
    series = [np.maximum.accumulate(RNG.uniform(0.5, 0.8, n)) for n in (50, 40, 60)]
    series[0][:3] = np.nan
    said = check(draw_progress({"random": series, "local": series[1:2]}, tmp_path / "p.png", title="t"))
    assert "random, 3 seeds" in said
    assert "local, 1 seed" in said


def test_choices_have_a_panel_a_kind(tmp_path: Path) -> None:
    front = [{"3": 2, "7": 1}, {"3": 1, "5": 2}, {"7": 3}]
    said = check(draw_choices(np.array([1.0, 2.0, 3.0]), {"kernel": front, "op": [{"skip": 1}] * 3}, tmp_path / "c.svg", title="t"))
    for words in ("kernel, %", "op, %", "skip", "7"):
        assert words in said


def test_other_files_than_png_and_svg_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a plot is written as \.png and \.svg"):
        require_suffix(Path("figure.pdf"))
