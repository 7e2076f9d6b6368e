"""Sampling, mutation, crossover and encoding of choice vectors: once, for every family, vectorised over populations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace

_DENSE = 0.25


def sample(space: SearchSpace, n: int, rng: np.random.Generator) -> Codes:
    """``n`` architectures, every choice uniform over its options: ``(n, n_choices) int16``, canonical."""
    draws = rng.integers(0, space.n_options, size=(n, len(space.choices)), dtype=np.int16)
    return space.canonical(draws)


def sample_spread(space: SearchSpace, n: int, rng: np.random.Generator) -> Codes:
    """``n`` architectures that spread over sizes, ``(n, n_choices) int16``, canonical: each leans to small or to large options.

    Uniform choices crowd in the middle of the sizes, like every sum of independent draws. Here a lean ``t`` is drawn for each row,
    and options (which ascend) from a beta distribution with mean ``t``.
    """
    lean = rng.uniform(0.08, 0.92, size=(n, 1))
    position = rng.beta(2 * lean, 2 * (1 - lean), size=(n, len(space.choices)))
    draws = np.minimum((position * space.n_options).astype(np.int16), space.n_options - 1)
    return space.canonical(draws.astype(np.int16))


def mutate(space: SearchSpace, codes: Codes, rng: np.random.Generator, *, rate: float) -> Codes:
    """Each active choice changes to another option with probability ``rate``, and at least one per row does.

    A choice that a mutation activates starts at a random option, not at the 0 that canonical form gave it.
    """
    width = codes.shape[1]
    free = space.n_options > 1
    if not free.any() or not len(codes):
        return codes.copy()
    before = space.active(codes)
    eligible = before & free
    flat = _hits(codes.size, rate, rng)
    flat = flat[eligible.ravel()[flat]]
    lonely = np.flatnonzero(np.bincount(flat // width, minlength=len(codes)) == 0)
    flat = np.concatenate([flat, lonely * width + _one_each(eligible[lonely], rng)])
    row, column = np.divmod(flat, width)
    moved = codes.copy()
    moved[row, column] = (codes[row, column] + rng.integers(1, np.maximum(space.n_options, 2)[column], dtype=np.int16)) % space.n_options[
        column
    ]
    switched = np.unique(row[_decisive(space)[column]])
    fresh = rng.integers(0, space.n_options, size=(len(switched), width), dtype=np.int16)
    moved[switched] = np.where(before[switched], moved[switched], fresh)
    return space.canonical(moved)


def _hits(n: int, rate: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Which of ``n`` independent events of chance ``rate`` happen, ascending."""
    if rate > _DENSE:
        return np.flatnonzero(rng.random(n) < rate)
    if rate <= 0:
        return np.zeros(0, dtype=np.intp)
    # the gaps between rare events take far fewer draws than the events
    expected = n * rate
    gaps = np.minimum(rng.geometric(rate, int(expected + 6 * expected**0.5) + 10), n + 1)
    positions = np.cumsum(gaps) - 1
    for _ in range(n):
        if positions[-1] >= n:
            break
        gaps = np.minimum(rng.geometric(rate, len(gaps)), n + 1)
        positions = np.concatenate([positions, positions[-1] + np.cumsum(gaps)])
    return positions[: np.searchsorted(positions, n)]


def _one_each(eligible: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """A random one of the eligible columns of each row, ``(n, width) -> (n,)``; 0 where there are none."""
    order = np.cumsum(eligible, axis=1, dtype=np.int16)
    wanted = (rng.random(len(eligible)) * order[:, -1]).astype(np.int16)
    return np.asarray((order > wanted[:, None]).argmax(axis=1))


@lru_cache(maxsize=64)
def _decisive(space: SearchSpace) -> NDArray[np.bool_]:
    """Which choices others depend on, ``(n_choices,)``."""
    parents = {choice.active_if.choice for choice in space.choices if choice.active_if is not None}
    return np.array([choice.name in parents for choice in space.choices])


def cross(space: SearchSpace, first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
    """Uniform crossover: every choice comes from one of the two parents (Syswerda 1989); one that is inactive in a parent yields."""
    width = -(-first.shape[1] // 8)
    bits = np.frombuffer(rng.bytes(len(first) * width), dtype=np.uint8).reshape(len(first), width)
    take = np.unpackbits(bits, axis=1, count=first.shape[1]).view(np.bool_)
    on_first, on_second = space.active(first), space.active(second)
    pick_first = np.where(on_first == on_second, take, on_first)
    return space.canonical(np.where(pick_first, first, second).astype(np.int16))


def encode(space: SearchSpace, codes: Codes) -> NDArray[np.float64]:
    """One-hot with inactive choices all zero, ``(n, n_choices) int16 -> (n, sum of options) float64``."""
    offsets = np.concatenate(([0], np.cumsum(space.n_options.astype(np.int64))))
    out = np.zeros((len(codes), int(offsets[-1])), dtype=np.float64)
    rows = np.arange(len(codes))[:, None]
    out[rows, offsets[:-1][None] + codes] = space.active(codes)
    return out


def unique(codes: Codes) -> Codes:
    """Distinct rows in the order of their first appearance."""
    _, first = np.unique(codes, axis=0, return_index=True)
    return codes[np.sort(first)]
