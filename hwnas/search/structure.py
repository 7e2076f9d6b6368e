"""Which choices interact in a model, and the model as a sum of small tables over them.

A function of all choices whose interactions are known is a sum of functions of few choices: one a clique of the interaction graph
(Hammersley & Clifford 1971; the anchored form of Kuo et al. 2010, doi:10.1090/S0025-5718-09-02319-9). Cliques come from eliminating the
choices one after the other, those that lead to the smallest tables first (Dechter 1999, doi:10.1016/S0004-3702(99)00059-4).

Interactions are found by asking the model: two choices interact when changing both differs from the sum of changing each. What is found
is then held to random architectures, so that a model that is no such sum is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats

Values = Callable[[Codes], Floats]
MAX_TABLE = 1_000_000
_CONTEXTS = (6, 24, 96)
_CHECKS = 512
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Part:
    """A table over the choices ``own`` and ``shared`` (positions): what they add, ``(shared combinations, own combinations, m)``.

    ``own`` appear in no later part; combinations are in the order of ``np.indices``.
    """

    own: tuple[int, ...]
    shared: tuple[int, ...]
    table: Floats


@dataclass(frozen=True, slots=True)
class Decomposition:
    """``constant (m,)`` and the sum of ``parts``, in an order in which the choices can be eliminated."""

    space: SearchSpace
    constant: Floats
    parts: tuple[Part, ...]

    def values(self, codes: Codes) -> Floats:
        """The sum for ``codes: (n, n_choices) int16``, canonical or not; ``(n, m)``."""
        total = np.repeat(self.constant[None], len(codes), axis=0)
        for part in self.parts:
            total += part.table[rank(self.space, codes, part.shared), rank(self.space, codes, part.own)]
        return total

    def weighted(self, weights: Floats) -> Decomposition:
        """The sums of the columns by ``weights (m, k)``: a model with ``k`` values."""
        parts = tuple(Part(part.own, part.shared, part.table @ weights) for part in self.parts)
        return Decomposition(self.space, self.constant @ weights, parts)


def decompose(space: SearchSpace, model: Values) -> Decomposition:
    """``model: (n, n_choices) -> (n, m)`` as a sum of small tables.

    One that has none, because its choices interact too much, raises `PredictorError`.
    """
    rng = np.random.default_rng(0)
    # not canonical: the sum must not depend on choices that are inactive
    probes = _draws(space, _CHECKS, rng)
    truth = model(space.canonical(probes))
    linked = np.zeros((len(space.choices), len(space.choices)), dtype=bool)
    for contexts in _CONTEXTS:
        linked |= _interactions(space, model, contexts, rng)
        found = _tables(space, model, _eliminate(space, linked))
        if np.allclose(found.values(probes), truth, rtol=_TOLERANCE, atol=_TOLERANCE * max(1.0, float(np.abs(truth).max()))):
            return found
    raise PredictorError(f"space '{space.name}': the model is not a sum of parts with few choices each; no exact search is possible")


def combinations(space: SearchSpace, positions: tuple[int, ...]) -> Codes:
    """Every combination of the options at ``positions``, ``(product, len(positions)) int16``, the last one fastest."""
    shape = tuple(int(space.n_options[p]) for p in positions)
    return np.indices(shape, dtype=np.int16).reshape(len(positions), -1).T if positions else np.zeros((1, 0), dtype=np.int16)


def rank(space: SearchSpace, codes: Codes, positions: tuple[int, ...]) -> NDArray[np.intp]:
    """Which of `combinations` each row has."""
    rank = np.zeros(len(codes), dtype=np.intp)
    for position in positions:
        rank = rank * int(space.n_options[position]) + codes[:, position]
    return rank


def _draws(space: SearchSpace, n: int, rng: np.random.Generator) -> Codes:
    return rng.integers(0, space.n_options, size=(n, len(space.choices)), dtype=np.int16)


def _interactions(space: SearchSpace, model: Values, contexts: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which pairs of choices interact in any of some contexts, ``(n_choices, n_choices)``; conditions count as interactions."""
    n = len(space.choices)
    linked = np.zeros((n, n), dtype=bool)
    for position, choice in enumerate(space.choices):
        if choice.active_if is not None:
            parent = space.index(choice.active_if.choice)
            # parents come first, so that theirs are known
            linked[position] |= linked[parent]
            linked[position, parent] = True
    first, second = np.triu_indices(n, 1)
    free = space.n_options > 1
    keep = free[first] & free[second]
    first, second = first[keep], second[keep]
    for number in range(contexts):
        base = _draws(space, 1, rng)[0]
        if number % 2 == 0:
            base = _widest(space, base)
        other = ((base + rng.integers(1, np.maximum(space.n_options, 2), dtype=np.int16)) % space.n_options).astype(np.int16)
        single = np.repeat(base[None], n, axis=0)
        single[np.arange(n), np.arange(n)] = other
        double = np.repeat(base[None], len(first), axis=0)
        rows = np.arange(len(first))
        double[rows, first], double[rows, second] = other[first], other[second]
        values = model(space.canonical(np.concatenate([base[None], single, double])))
        at, one, two = values[0], values[1 : n + 1], values[n + 1 :]
        excess = np.abs(two - one[first] - one[second] + at)
        hit = (excess > _TOLERANCE * np.maximum(1.0, np.abs(values).max(axis=0))).any(axis=1)
        linked[first[hit], second[hit]] = True
    return linked | linked.T


def _widest(space: SearchSpace, base: Codes) -> Codes:
    """``base`` with every choice that others depend on at an option that activates as many of them as any."""
    wide = base.copy()
    for position, choice in enumerate(space.choices):
        allowing = [
            sum(c.active_if is not None and c.active_if.choice == choice.name and o in c.active_if.options for c in space.choices)
            for o in choice.options
        ]
        if any(allowing):
            wide[position] = int(np.argmax(allowing))
    return wide


def _eliminate(space: SearchSpace, linked: NDArray[np.bool_]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Which choices go together (own, shared), in order; the next is the one with the smallest table."""
    near = {p: {int(q) for q in np.flatnonzero(linked[p])} for p in range(len(space.choices))}
    order = []
    for _ in range(len(space.choices)):
        if not near:
            break

        def cost(p: int) -> tuple[int, int]:
            product = 1
            for q in (p, *near[p]):
                product *= int(space.n_options[q])
            return product, -p

        chosen = min(near, key=cost)
        if cost(chosen)[0] > MAX_TABLE:
            name = space.choices[chosen].name
            raise PredictorError(
                f"space '{space.name}': choice '{name}' interacts with {len(near[chosen])} others; no exact search is possible"
            )
        around = near[chosen] | {chosen}
        # whatever has no further neighbours goes along
        own = {p for p in around if near[p] | {p} <= around}
        shared = around - own
        for p in shared:
            near[p] = (near[p] - own) | (shared - {p})
        for p in own:
            del near[p]
        order.append((tuple(sorted(own)), tuple(sorted(shared))))
    return order


def _tables(space: SearchSpace, model: Values, order: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> Decomposition:
    """What each part adds: the model with all others at their first option, less the same with its own choices at theirs."""
    blocks, shapes = [np.zeros((1, len(space.choices)), dtype=np.int16)], []
    for own, shared in order:
        outer, inner = combinations(space, shared), combinations(space, own)
        rows = np.zeros((len(outer) * len(inner), len(space.choices)), dtype=np.int16)
        rows[:, shared] = np.repeat(outer, len(inner), axis=0)
        rows[:, own] = np.tile(inner, (len(outer), 1))
        blocks.append(rows)
        shapes.append((len(outer), len(inner)))
    values = model(space.canonical(np.concatenate(blocks)))
    parts, start = [], 1
    for (own, shared), (outer_n, inner_n) in zip(order, shapes, strict=True):
        table = values[start : start + outer_n * inner_n].reshape(outer_n, inner_n, -1)
        parts.append(Part(own, shared, table - table[:, :1]))
        start += outer_n * inner_n
    return Decomposition(space, values[0], tuple(parts))
