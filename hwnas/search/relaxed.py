"""Many linear accuracies maximised at once under one latency budget, by Lagrangian relaxation (Everett 1963, doi:10.1287/opre.11.3.399).

For a price of a millisecond, the best architecture of a linear accuracy less the priced latency is found exactly, choice by choice, since
latency is a sum of parts (`hwnas.search.structure`); the price is bisected until the budget is kept. What comes out is on the convex hull
of the front of that accuracy: no exact optimum, but one for each of hundreds of accuracies in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes
from hwnas.core.predict import Floats
from hwnas.search.structure import Decomposition, combinations, rank
from hwnas.space.moves import encode

# prices are looked for within a factor of exp(4) of what a millisecond of a part brings on average
_REACH = 4.0
_STEPS = 6


@dataclass(frozen=True, slots=True)
class _Slot:
    """One part: rows of the listed combinations, and which value of earlier parts each of them meets."""

    own: tuple[int, ...]
    shared: tuple[int, ...]
    inner: Codes
    start: int
    shape: tuple[int, int]
    meets: tuple[tuple[int, NDArray[np.intp]], ...]


class Relaxed:
    """The solver for one space and latency; ``latency`` is a sum with one value."""

    def __init__(self, latency: Decomposition) -> None:
        space = self._space = latency.space
        self._latency = latency
        listed, based = [], []
        slots: list[_Slot] = []
        start = 0
        for number, part in enumerate(latency.parts):
            outer, inner = combinations(space, part.shared), combinations(space, part.own)
            rows = np.zeros((len(outer) * len(inner), len(space.choices)), dtype=np.int16)
            rows[:, part.shared] = np.repeat(outer, len(inner), axis=0)
            based.append(rows.copy())
            rows[:, part.own] = np.tile(inner, (len(outer), 1))
            listed.append(rows)
            met = [j for j, p in enumerate(latency.parts) if _receiver(latency, p.shared) == number]
            meets = tuple((j, rank(space, rows, latency.parts[j].shared)) for j in met)
            slots.append(_Slot(part.own, part.shared, inner, start, (len(outer), len(inner)), meets))
            start += len(rows)
        self._slots = tuple(slots)
        difference = encode(space, space.canonical(np.concatenate(listed))) - encode(space, space.canonical(np.concatenate(based)))
        self._hot = difference.astype(np.float32)
        self._ms = np.concatenate([part.table[:, :, 0].ravel() for part in latency.parts]).astype(np.float32)

    def solve(self, weights: Floats, budget_ms: float) -> Codes:
        """The best architecture within the budget for each column of ``weights: (p, n)``; ``(at most n, n_choices)``: some have none."""
        gains = self._hot @ weights.astype(np.float32)
        n = gains.shape[1]
        usual = np.log(np.abs(gains).mean() / max(float(np.abs(self._ms).mean()), 1e-30) + 1e-30)
        low, high = np.full(n, usual - _REACH), np.full(n, usual + _REACH)
        best, found = np.zeros((n, len(self._space.choices)), dtype=np.int16), np.zeros(n, dtype=bool)
        for _ in range(_STEPS):
            price = (low + high) / 2
            codes = self._priced(gains, np.exp(price))
            fits = self._latency.values(codes)[:, 0] <= budget_ms
            best[fits], found = codes[fits], found | fits
            high, low = np.where(fits, price, high), np.where(fits, low, price)
        return self._space.canonical(best[found])

    def _priced(self, gains: NDArray[np.float32], prices: Floats) -> Codes:
        """The best of ``gains - price * latency`` for each column, ``(n, n_choices)``, by elimination of one part after the other."""
        values = gains - self._ms[:, None] * prices.astype(np.float32)
        best: list[NDArray[np.float32]] = []
        chosen: list[NDArray[np.intp]] = []
        for slot in self._slots:
            own = values[slot.start : slot.start + slot.shape[0] * slot.shape[1]]
            for part, rows in slot.meets:
                own = own + best[part][rows]
            table = own.reshape(*slot.shape, -1)
            top = table.argmax(axis=1)
            chosen.append(top)
            best.append(np.take_along_axis(table, top[:, None], axis=1)[:, 0])
        codes = np.zeros((values.shape[1], len(self._space.choices)), dtype=np.int16)
        columns = np.arange(values.shape[1])
        for slot, top in zip(reversed(self._slots), reversed(chosen), strict=True):
            codes[:, slot.own] = slot.inner[top[rank(self._space, codes, slot.shared), columns]]
        return codes


def _receiver(latency: Decomposition, shared: tuple[int, ...]) -> int | None:
    """The part that meets the value of one which shares these choices: the first that owns any of them."""
    return next((number for number, part in enumerate(latency.parts) if set(part.own) & set(shared)), None)
