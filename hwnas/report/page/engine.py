"""The chart library: Vega and Vega-Lite (Satyanarayan et al. 2017, doi:10.1109/TVCG.2016.2599030), taken from the package vl-convert.

It is installed, not copied: its JavaScript goes into a report when that is written, and it draws the same charts as PNG and SVG.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hwnas.core.errors import ConfigError
from hwnas.report.page.items import Chart

WIDTH = 720
SCALE = 2.0
PALETTE = ("#3b7dd8", "#d9730d", "#2a9d5c", "#9b5de5", "#d64550", "#1799a6", "#a0703c", "#7a828c")
"""Told apart on white and on black: each has a contrast of at least 3 to both."""


def _library() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise ConfigError("vl-convert-python is not installed, which draws reports; run: pip install 'hwnas[report]'") from None
    return vl_convert


@lru_cache(maxsize=1)
def javascript() -> str:
    """The library for a page: ``window.vegaEmbed`` and what it needs, about 0.9 MB. It takes seconds to be put together, once a process."""
    return str(_library().javascript_bundle())


def svg(chart: Chart) -> str:
    """A chart as an SVG of its own."""
    return str(_library().vegalite_to_svg(_fixed(chart)))


def png(chart: Chart) -> bytes:
    """A chart as a PNG on white."""
    return bytes(_library().vegalite_to_png(_fixed(chart), scale=SCALE))


def svg_as_png(text: str) -> bytes:
    """A drawing that is an SVG already."""
    return bytes(_library().svg_to_png(text, scale=SCALE))


def _fixed(chart: Chart) -> Mapping[str, Any]:
    values = [dict(zip(chart.columns, row, strict=True)) for row in chart.drawn]
    config = {"background": "white", "range": {"category": list(PALETTE)}, "view": {"stroke": None}}
    return {**chart.spec, "width": WIDTH, "data": {"values": values}, "config": config, "title": chart.title[:200]}
