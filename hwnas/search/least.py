"""The least of a cost over a space, within limits: what is asked of budgets and limits before anything is searched.

Costs that are sums over parts are minimised exactly (`hwnas.search.sums`). Under one limit that is exact, too: the least within the limit
is on the front of both. Several limits are joined into one, weighted in many ways (the surrogate constraints of Glover 1968,
doi:10.1287/opre.16.4.741), and the best point that keeps them all is improved by single moves; so are costs that are no sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.search.limits import Cost, Limit, Resource, ratio
from hwnas.search.polish import Moves
from hwnas.search.structure import decompose
from hwnas.search.sums import solve_sums
from hwnas.space.moves import sample_spread

_STEPS, _ROUNDS, _DRAWN = 4, 60, 2000


@dataclass(frozen=True, slots=True)
class Least:
    """An architecture, ``codes (1, n_choices)``, its cost, and whether it is certain that none costs less."""

    codes: Codes
    cost: float
    exact: bool


def least(space: SearchSpace, cost: Cost, limits: Sequence[Limit] = ()) -> Least | None:
    """The architecture of least ``cost`` that keeps ``limits``; None where none was found that keeps them all."""
    try:
        codes, exact = _by_sums(space, cost, limits), sum(not limit.hard for limit in limits) <= 1
    except PredictorError:
        codes, exact = sample_spread(space, _DRAWN, np.random.default_rng(0)), False
    best = _ranked(codes, cost, limits)[0]
    if not exact or ratio(limits, best[None])[0] > 1:
        best = _descended(space, best, cost, limits)
    if ratio(limits, best[None])[0] > 1:
        return None
    return Least(best[None], float(cost(best[None])[0]), exact)


def lowest(space: SearchSpace, resource: Resource) -> tuple[float, bool]:
    """The least that a resource can cost, and whether that is certain."""
    if resource.largest is None:
        found = least(space, resource.cost)
    else:
        # the lowest level that no part needs to exceed
        levels, low, high = resource.largest.levels, 0, len(resource.largest.levels) - 1
        for _ in range(len(levels).bit_length()):
            if low >= high:
                break
            middle = (low + high) // 2
            keeps = least(space, Limit(resource, float(levels[middle])).parts)
            low, high = (low, middle) if keeps is not None and keeps.exact and keeps.cost == 0 else (middle + 1, high)
        return float(levels[low]), True
    assert found is not None  # without limits there is always one
    return found.cost, found.exact


def least_of_worst(space: SearchSpace, costs: Sequence[Cost]) -> Codes:
    """The architecture whose largest cost is least, ``(1, n_choices)``: exactly for two that are sums."""

    def worst(codes: Codes) -> Floats:
        highest: Floats = np.stack([cost(codes) for cost in costs]).max(axis=0)
        return highest

    try:
        codes = _fronts(space, lambda c: np.stack([cost(c) for cost in costs], axis=1), len(costs) - 1)
    except PredictorError:
        codes = sample_spread(space, _DRAWN, np.random.default_rng(0))
    best = _ranked(codes, worst, ())[0]
    return _descended(space, best, worst, ())[None]


def _by_sums(space: SearchSpace, cost: Cost, limits: Sequence[Limit]) -> Codes:
    """Architectures among which the least within the limits is, or is likely to be, ``(n, n_choices)``."""
    soft, hard = [limit for limit in limits if not limit.hard], [limit for limit in limits if limit.hard]

    def values(codes: Codes) -> Floats:
        missed = sum((limit.parts(codes) for limit in hard), np.zeros(len(codes)))
        columns = [limit.parts(codes) / limit.at_most for limit in soft] or [np.zeros(len(codes))]
        # where a limit is on every part, a part above it is priced out of the front
        return np.stack([cost(codes), *(column + _PRICED_OUT * missed for column in columns)], axis=1)

    return _fronts(space, values, max(1, len(soft)))


_PRICED_OUT = 1e3


def _fronts(space: SearchSpace, values: Cost, others: int) -> Codes:
    """The fronts of the first of ``values (n, 1 + others)`` and the others in many weightings."""
    sums = decompose(space, values)
    found = []
    for weights in _weights(others):
        first_and_rest = np.zeros((1 + others, 2))
        first_and_rest[0, 0], first_and_rest[1:, 1] = 1.0, weights
        found.append(solve_sums(sums.weighted(first_and_rest))[0])
    return np.unique(np.concatenate(found), axis=0)


def _weights(n: int) -> Floats:
    """Weights that add up to 1, evenly over all ways to share them, ``(m, n)``."""
    shared = [np.bincount(places, minlength=n) for places in combinations_with_replacement(range(n), _STEPS if n > 1 else 1)]
    return np.array(shared, dtype=np.float64) / (_STEPS if n > 1 else 1)


def _ranked(codes: Codes, cost: Cost, limits: Sequence[Limit]) -> Codes:
    """Those that keep the limits first, or come nearest to that; then by cost."""
    return codes[np.lexsort((cost(codes), np.maximum(ratio(limits, codes), 1.0)))]


def _descended(space: SearchSpace, code: Codes, cost: Cost, limits: Sequence[Limit]) -> Codes:
    """Where single moves lead to, ``(n_choices,)``: always the best neighbour, as long as there is a better one."""
    moves = Moves.over(space, [(position,) for position in range(len(space.choices))])
    for _ in range(_ROUNDS):
        near, _site = moves.around(code)
        best = _ranked(np.concatenate([code[None], near]), cost, limits)[0]
        if (best == code).all():
            break
        code = best
    return code
