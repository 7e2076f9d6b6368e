"""The smallest latency of a whole space, exactly: so that a budget that nothing fits is found before the search.

A network is a chain of groups whose cost depends on their own choices, on those of the whole network and on the group before. So the
minimum is found group by group for every combination of whole-network choices, and not over the product of the groups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.space.family import blockwise
from hwnas.space.moves import sample

MAX_CONFIGURATIONS = 4_000_000
_PROBES = 256


def smallest(space: SearchSpace, cost: Callable[[Codes], Floats]) -> Codes:
    """The architecture of least ``cost``, ``(1, n_choices) int16``; ``cost`` must be a sum over blocks.

    A space with groups too large to list, or whose groups depend on each other, raises `PredictorError`.
    """
    groups = [list(group.choices) for group in blockwise(space).groups(space)]
    whole = [position for position in range(len(space.choices)) if not any(position in group for group in groups)]
    origin = np.zeros(len(space.choices), dtype=np.int16)
    listed = [_combinations(space, group, origin) for group in groups]
    _check_separable(space, cost, groups, whole)
    best, best_cost = origin[None], np.inf
    for base in _combinations(space, whole, origin):
        chosen = base.copy()
        for group, rows in zip(groups, listed, strict=True):
            # the other groups stay at their first option, so that they add the same to every row
            rows[:, whole] = base[whole]
            chosen[group] = rows[int(np.argmin(cost(rows))), group]
        total = float(cost(chosen[None])[0])
        if total < best_cost:
            best, best_cost = chosen[None], total
    return best


def _combinations(space: SearchSpace, positions: list[int], base: Codes) -> Codes:
    """``base`` with every canonical combination of the choices at ``positions``, ``(m, n_choices) int16``."""
    count = 1
    for position in positions:
        count *= int(space.n_options[position])
    if count > MAX_CONFIGURATIONS:
        raise PredictorError(f"space '{space.name}': a group has {count} combinations; at most {MAX_CONFIGURATIONS} can be listed")
    rows = np.repeat(base[None], count, axis=0)
    if positions:
        rows[:, positions] = np.indices(tuple(space.n_options[positions])).reshape(len(positions), count).T
    canonical = (space.canonical(rows) == rows).all(axis=1)
    kept: Codes = rows[canonical]
    return kept


def _check_separable(space: SearchSpace, cost: Callable[[Codes], Floats], groups: list[list[int]], whole: list[int]) -> None:
    """Exchanging a group between two networks of equal whole-network choices must exchange its cost, and keep both canonical."""
    rng = np.random.default_rng(0)
    first = sample(space, _PROBES, rng)
    second = sample(space, _PROBES, rng)
    second[:, whole] = first[:, whole]
    second = space.canonical(second)
    before = cost(first) + cost(second)
    for group in groups:
        one, other = first.copy(), second.copy()
        one[:, group], other[:, group] = second[:, group], first[:, group]
        kept = np.array_equal(space.canonical(one), one) and np.array_equal(space.canonical(other), other)
        if not (kept and np.allclose(cost(one) + cost(other), before, rtol=1e-9)):
            raise PredictorError(f"space '{space.name}': what a group costs depends on other groups; no exact minimum is known")
