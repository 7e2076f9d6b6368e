"""Sums over the blocks of networks: one gather a block, in parts that stay in the cache."""

from __future__ import annotations

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.space.family import blockwise

_CHUNK = 4096


def padded(values: Floats) -> Floats:
    """``values (V, ...)`` with a row of zeros at the end, which block id -1 (no block) reads."""
    return np.concatenate([values, np.zeros((1, *values.shape[1:]))])


def sum_over_blocks(space: SearchSpace, codes: Codes, rows: Floats) -> Floats:
    """The sum of ``rows`` over the blocks of each network; rows as `padded` gives them: ``(V + 1,) -> (n,)`` or ``(V + 1, r) -> (n, r)``.

    Codes of another space raise `ConfigError`.
    """
    if codes.ndim != 2 or codes.shape[1] != len(space.choices) or (codes < 0).any() or (codes >= space.n_options).any():
        space.check(codes)
    family = blockwise(space)
    out = np.empty((len(codes), *rows.shape[1:]))
    for start in range(0, len(codes), _CHUNK):
        ids = family.block_ids(space, codes[start : start + _CHUNK])
        part = out[start : start + _CHUNK]
        if rows.ndim == 1:
            np.matmul(rows[ids], np.ones(ids.shape[1]), out=part)
            continue
        buffer = np.empty_like(part)
        part[:] = 0.0
        for column in ids.T:
            # "wrap" takes -1 for the last row, and checks nothing that `block_ids` has not checked
            np.take(rows, column, axis=0, out=buffer, mode="wrap")
            part += buffer
    return out
