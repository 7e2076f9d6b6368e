"""Pieces of Vega-Lite specifications that the charts share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Encoding = dict[str, Any]


def number(field: str, title: str, *, zero: bool = False, log: bool = False, **axis: Any) -> Encoding:
    """A quantitative channel."""
    scale: Encoding = {"type": "log"} if log else {"zero": zero, "nice": True}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": {"labelOverlap": True, **axis}}


def colour(field: str, values: Sequence[str]) -> Encoding:
    """A nominal channel whose colours go by the order of ``values``, with its legend above the chart."""
    legend = {"orient": "top", "columns": 2, "title": None, "labelLimit": 260, "symbolOpacity": 1}
    return {"field": field, "type": "nominal", "scale": {"domain": list(values)}, "legend": legend}


def tips(**fields: str) -> list[Encoding]:
    """What is shown beside the pointer: titles by field; numbers keep four digits."""
    return [{"field": field, "title": title, **({} if field in _WORDS else {"format": ".4g"})} for field, title in fields.items()]


_WORDS = frozenset({"kind", "label", "key", "target", "option", "budget", "stage", "choice", "run", "what", "place"})


def only(field: str, *values: str) -> list[Encoding]:
    """A transform that keeps rows with one of ``values``."""
    return [{"filter": {"field": field, "oneOf": list(values)}}]


def spec(layers: Sequence[Encoding], *, height: int = 320) -> Encoding:
    """Layers as wide as the page has room for."""
    body: Encoding = {"layer": list(layers)} if len(layers) > 1 else dict(layers[0])
    return {"width": "container", "height": height, "autosize": {"type": "fit", "contains": "padding"}, **body}
