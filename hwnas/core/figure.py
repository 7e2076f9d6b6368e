"""Figures as files, PNG and SVG, the same bytes for the same content; needs matplotlib (the extra ``plot``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; `ConfigError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("matplotlib is not installed, which draws plots; run: pip install 'hwnas[plot]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def require_suffix(path: Path) -> None:
    """Raise `ConfigError` unless ``path`` ends in one of `SUFFIXES`."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: a plot is written as .png and .svg; name one of them")


def save(figure: Figure, path: Path) -> tuple[Path, ...]:
    """Write ``path`` as PNG and as SVG, whichever suffix it has; returns both files. Folders are made."""
    import matplotlib

    written = tuple(path.with_suffix(suffix) for suffix in SUFFIXES)
    path.parent.mkdir(parents=True, exist_ok=True)
    # no date and no random ids in the files: the same content gives the same picture
    with matplotlib.rc_context({"svg.hashsalt": "hwnas"}):
        for file in written:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else {"Software": None})
    return written
