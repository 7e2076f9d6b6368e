"""A report as one HTML file: everything is in it, and its own policy keeps it from asking any network for more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.core.errors import ConfigError
from hwnas.report.page.engine import PALETTE, javascript
from hwnas.report.page.graph import graph_svg
from hwnas.report.page.items import Advice, Cell, Chart, Drawing, Grid, Item, Missing, Report, Row, named

if TYPE_CHECKING:
    from jinja2 import Environment

ASSETS = Path(__file__).parents[2] / "assets" / "report"
TABLE_ROWS = 200
"""How many rows of a chart's data a page shows; the whole is in the CSV that `hwnas.report.page.folder` writes."""
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
"""Vega compiles its expressions, which needs ``unsafe-eval``; nothing may be fetched or sent, so nothing can leave the page."""


@lru_cache(maxsize=1)
def _templates() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise ConfigError("Jinja2 is not installed, which writes reports; run: pip install 'hwnas[report]'") from None
    found = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.tests["numeric"] = lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)
    found.filters["cell"] = shown
    return found


def document(report: Report, *, live: bool = False) -> str:
    """The whole file. ``live``: the page asks its own server for news every now and then."""
    policy = f"{POLICY}; connect-src 'self'" if live else POLICY
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            report=report,
            body=_markup(body(report)),
            charts=_markup(_json(charts_of(report))),
            settings=_markup(_json({"palette": PALETTE, "live": live})),
            style=_markup((ASSETS / "page.css").read_text(encoding="utf-8")),
            script=_markup((ASSETS / "page.js").read_text(encoding="utf-8")),
            library=_markup(javascript().replace("</script", "<\\/script")),
            policy=policy,
        )
    )


def body(report: Report) -> str:
    """What is between the page's header and its end; everything that users wrote is escaped."""
    names = {id(item): name for name, item in named(report)}
    return _templates().get_template("body.html.j2").render(
        report=report, kind=_kind, name=lambda item: names[id(item)], graph=lambda item: _markup(graph_svg(item)),
        preview=_preview, table_rows=TABLE_ROWS,
    )  # fmt: skip


def charts_of(report: Report) -> dict[str, Any]:
    """Specification and data of every chart by its name, as the page's script takes them."""
    charts = ((name, item) for name, item in named(report) if isinstance(item, Chart))
    return {name: {"spec": chart.spec, "columns": chart.columns, "rows": chart.drawn} for name, chart in charts}


def shown(value: Cell) -> str:
    """A value for people: numbers keep four digits, what is not there is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _kind(item: Item) -> str:
    return {Chart: "chart", Drawing: "drawing", Grid: "grid", Advice: "advice", Missing: "missing"}[type(item)]


def _preview(chart: Chart) -> Iterable[Row]:
    """The rows that a page shows of a chart's data: what stands out is last in them."""
    return chart.rows if len(chart.rows) <= TABLE_ROWS else chart.rows[-TABLE_ROWS:]


def _json(value: Mapping[str, Any]) -> str:
    """JSON that ends no script element, whatever its texts are."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - our own files, JSON without markup, and text that was escaped where it was made
