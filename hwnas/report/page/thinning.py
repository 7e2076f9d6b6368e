"""Clouds of many points made light: what is drawn keeps the shape of what is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.predict import Floats

CELLS = 64


def thinned(x: Floats, y: Floats, keep: int, *, seed: int = 0) -> NDArray[np.intp]:
    """At most ``keep`` rows of ``(n,)`` points, in their order: every cell of a grid keeps its share, and one at least where it has any.

    Where there are more cells with points than ``keep``, a random sample of one point a cell. The same points and seed give the same rows.
    """
    n = len(x)
    if n <= keep:
        return np.arange(n)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    cells = _cell(x)[order] * CELLS + _cell(y)[order]
    by_cell = np.argsort(cells, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(cells[by_cell]) != 0])
    sizes = np.diff(np.r_[starts, n])
    if len(starts) >= keep:
        return np.sort(order[by_cell[rng.choice(starts, keep, replace=False)]])
    quota = 1 + np.floor((sizes - 1) * ((keep - len(starts)) / (n - len(starts)))).astype(np.intp)
    rank = np.arange(n) - np.repeat(starts, sizes)
    return np.sort(order[by_cell[rank < np.repeat(quota, sizes)]])


def _cell(values: Floats) -> NDArray[np.intp]:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(len(values), dtype=np.intp)
    return np.minimum(((values - low) / (high - low) * CELLS).astype(np.intp), CELLS - 1)
