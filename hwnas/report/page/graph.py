"""Architectures as graphs: a row a stage, a box a block, as wide as the block takes long where that is known."""

from __future__ import annotations

from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from hwnas.report.page.items import Box, Drawing

_WIDTH, _LEFT, _HEIGHT, _GAP, _LEAST = 700, 110, 34, 12, 30


def graph_svg(drawing: Drawing, *, alone: bool = False) -> str:
    """The drawing as an SVG element; ``alone`` as a file of its own, with colours that do not follow a page."""
    stages = [(stage, list(boxes)) for stage, boxes in groupby(drawing.boxes, key=lambda box: box.stage)]
    room = _WIDTH - _LEFT
    widest = max((sum(_weight(box, drawing) for box in boxes) for _, boxes in stages), default=1.0)
    most = max((len(boxes) for _, boxes in stages), default=1)
    scale = (room - most * (_LEAST + 4)) / widest if widest > 0 else 0.0
    parts = []
    for row, (stage, boxes) in enumerate(stages):
        y, x = row * (_HEIGHT + _GAP), float(_LEFT)
        middle = y + _HEIGHT / 2
        parts.append(f'<text x="0" y="{middle + 4:.0f}" class="stage">{escape(stage[:16])}</text>')
        for box in boxes:
            width = _LEAST + scale * _weight(box, drawing)
            parts.append(_box(box, x, y, width))
            x += width + 4
        if row + 1 < len(stages):
            parts.append(f'<path d="M{_LEFT + 15} {y + _HEIGHT} v{_GAP}" class="edge"/>')
    height = len(stages) * (_HEIGHT + _GAP)
    style = f"<style>{_STYLE}</style>" if alone else ""
    size = f' width="{_WIDTH}" height="{height}"' if alone else ""
    label = f'role="img" aria-label={quoteattr(drawing.text)}'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"{size} class="graph" {label}>{style}{"".join(parts)}</svg>'
    )


def _weight(box: Box, drawing: Drawing) -> float:
    """A block's time, and of one that is not known the mean of the others."""
    known = [each.time_ms for each in drawing.boxes if each.time_ms is not None]
    return box.time_ms if box.time_ms is not None else (sum(known) / len(known) if known else 1.0)


def _box(box: Box, x: float, y: float, width: float) -> str:
    time = "" if box.time_ms is None else f"{1000 * box.time_ms:.3g} us"
    letters = max(int(width / 6.5), 1)
    label = box.label if len(box.label) <= letters else box.label[:letters]
    under = time if len(time) <= letters else ""
    return (
        f"<g><title>{escape(box.key if not time else f'{box.key}, {time}')}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_HEIGHT}" rx="4" class="block"/>'
        f'<text x="{x + width / 2:.1f}" y="{y + 14}" class="label">{escape(label)}</text>'
        f'<text x="{x + width / 2:.1f}" y="{y + 27}" class="time">{escape(under)}</text></g>'
    )


_STYLE = (
    "text{font:11px sans-serif;fill:#1b1f24}.label,.time{text-anchor:middle}.time{font-size:9px}"
    ".block{fill:#dce8f8;stroke:#3b7dd8}.edge{stroke:#7a828c;fill:none}"
)
