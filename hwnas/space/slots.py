"""Block ids of whole populations: a network is a row of slots, and what is in a slot depends on a few choices.

Every slot has a small table over those choices. All tables lie in one array, and the positions in it are a linear map of the codes, so that
a lookup is one small matrix product and one gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes

_CHUNK = 4096
"""Rows looked up at a time: their positions stay in the cache."""


@dataclass(frozen=True, slots=True)
class Slot:
    """``ids`` has one axis for each position in ``choices``, as long as that choice has options; -1 is no block."""

    choices: tuple[int, ...]
    ids: NDArray[np.int32]


class Slots:
    """The slots of a space in chain order, ready for lookups."""

    def __init__(self, slots: Sequence[Slot], n_choices: int) -> None:
        strides = np.zeros((n_choices, len(slots)), dtype=np.float32)
        for column, slot in enumerate(slots):
            strides[list(slot.choices), column] = [int(np.prod(slot.ids.shape[axis + 1 :])) for axis in range(slot.ids.ndim)]
        self._strides = strides
        self._offsets = np.concatenate([[0], np.cumsum([slot.ids.size for slot in slots])])[:-1].astype(np.float32)
        self._ids = np.concatenate([slot.ids.ravel() for slot in slots]).astype(np.int32)

    def lookup(self, codes: Codes) -> NDArray[np.int32]:
        """``(n, n_choices) int16 -> (n, slots) int32``; codes must be of the space."""
        out = np.empty((len(codes), len(self._offsets)), dtype=np.int32)
        for start in range(0, len(codes), _CHUNK):
            # float32 is exact here: positions are far below 2 ** 24
            flat = (codes[start : start + _CHUNK].astype(np.float32) @ self._strides + self._offsets).astype(np.intp)
            np.take(self._ids, flat, out=out[start : start + _CHUNK], mode="clip")
        return out
