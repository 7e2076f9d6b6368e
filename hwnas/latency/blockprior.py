"""What is believed of block times before whole networks are measured: how the times of related blocks err together.

Isolated blocks pay at their borders what they do not pay inside a network, and one stage errs otherwise than another. So every block shares
its error with the blocks that have an attribute in common (operation, width, kernel, stride, activation, input size), relative to its time
and as a constant, and has a little of its own. Without a table the times themselves are guessed from the work that a block does, and
whole networks teach them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Block
from hwnas.core.predict import Floats

_MOST_VALUES = 32
_BYTES = 16.0
"""What moving one activation costs, in multiplications."""


@dataclass(frozen=True, slots=True)
class _Spread:
    """Standard deviations: of all blocks' common scale, of a shared attribute (relative and constant), of a block alone."""

    scale: float
    shared: float
    constant: float
    paired: float
    own: float


_MEASURED = _Spread(scale=0.3, shared=0.08, constant=0.05, paired=0.0, own=0.04)
_GUESSED = _Spread(scale=1.0, shared=0.5, constant=0.5, paired=0.3, own=0.15)


@dataclass(frozen=True)
class BlockPrior:
    """``times_ms (V,)`` with covariance ``factor @ factor.T + diag(own ** 2)``; ``factor (V, q)``, ``own (V,)``, all in ms."""

    times_ms: Floats
    factor: Floats
    own: Floats

    @classmethod
    def of(cls, words: Sequence[Block], times_ms: Floats | None) -> Self:
        """Of a vocabulary, around its measured ``times_ms (V,)``, or around a guess."""
        spread = _GUESSED if times_ms is None else _MEASURED
        times = _guess(words) if times_ms is None else np.maximum(np.asarray(times_ms, dtype=np.float64), 1e-9)
        marks, pairs = _attributes(words)
        typical = float(np.median(times))
        columns = [spread.scale * times[:, None], spread.constant * typical * np.ones((len(words), 1))]
        columns += [spread.shared * marks * times[:, None], spread.constant * typical * marks]
        sizes = _relative_size(words)
        columns += [spread.shared * (times * (sizes - 1))[:, None]]
        if spread.paired:
            columns.append(spread.paired * pairs * times[:, None])
        return cls(times, np.concatenate(columns, axis=1), spread.own * times)

    def scaled(self, scale: float, spread: float = 1.0) -> Self:
        """All times ``scale`` times as long, errors of blocks ``spread`` times as large beside them."""
        return replace(self, times_ms=self.times_ms * scale, factor=self.factor * scale * spread, own=self.own * scale * spread)


def _attributes(words: Sequence[Block]) -> tuple[Floats, Floats]:
    """Who shares what, ``(V, q)`` of 0 and 1: single attributes, and pairs of the width with another."""
    values: dict[str, list[object]] = {"op": [word.op for word in words]}
    for name in sorted({name for word in words for name, _ in word.params}):
        values[name] = [dict(word.params).get(name) for word in words]
    kept = {name: column for name, column in values.items() if 1 < len(set(column)) <= _MOST_VALUES}
    single = [_one_hot(column) for column in kept.values()]
    width = kept.get("out")
    paired = [] if width is None else [_one_hot(list(zip(width, kept[name], strict=True))) for name in kept if name not in ("out", "op")]
    none = np.zeros((len(words), 0))
    return np.concatenate([none, *single], axis=1), np.concatenate([none, *paired], axis=1)


def _one_hot(column: Sequence[object]) -> Floats:
    known = sorted(set(column), key=repr)
    return np.array([[value == option for option in known] for value in column], dtype=np.float64)


def _relative_size(words: Sequence[Block]) -> Floats:
    """Input height of a block to the largest one that differs from it in nothing else: what share of the largest resolution it is of."""
    largest: dict[object, int] = {}
    kinds = [(word.op, word.in_shape[0], word.params) for word in words]
    for kind, word in zip(kinds, words, strict=True):
        largest[kind] = max(largest.get(kind, 1), word.in_shape[1])
    return np.array([word.in_shape[1] / largest[kind] for kind, word in zip(kinds, words, strict=True)])


def _guess(words: Sequence[Block]) -> Floats:
    """Multiplications and moved activations, relative to the median block: only ratios count, the scale is fitted."""
    work = np.array([_work(word) for word in words])
    guess: Floats = work / np.median(work) + 0.2
    return guess


def _work(block: Block) -> float:
    channels, height, width = block.in_shape
    params = {name: float(value) for name, value in block.params if isinstance(value, (int, float))}
    stride, kernel = params.get("s", 1.0), params.get("k", 1.0)
    area, out = height * width, params.get("out", channels)
    smaller = area / stride**2
    if "mid" in params:
        mid = params["mid"]
        return area * channels * mid + smaller * mid * (kernel**2 + out) + _BYTES * (area * mid + smaller * (mid + out))
    if "classes" in params:
        return channels * params.get("mix", channels) + params.get("mix", channels) * params["classes"]
    return smaller * channels * out * kernel**2 + _BYTES * (area * channels + smaller * out)


def counts(ids: NDArray[np.int32], words: int) -> Floats:
    """How often each block of the vocabulary is in each network, ``(n, max_blocks) -> (n, words)``."""
    out = np.zeros((len(ids), words + 1))
    np.add.at(out, (np.arange(len(ids))[:, None], ids), 1.0)
    return out[:, :-1]
