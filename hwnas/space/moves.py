"""Sampling, mutation, crossover and encoding of choice vectors: once, for every family, vectorised over populations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Codes, SearchSpace


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
    n, width = codes.shape
    free = space.n_options > 1
    if not free.any():
        return codes.copy()
    before = space.active(codes)
    eligible = before & free
    change = (rng.random((n, width)) < rate) & eligible
    forced = np.argmax(np.where(eligible, rng.random((n, width)), -1.0), axis=1)
    lonely = ~change.any(axis=1)
    change[lonely, forced[lonely]] = True
    shift = rng.integers(1, np.maximum(space.n_options, 2), size=(n, width), dtype=np.int16)
    fresh = rng.integers(0, space.n_options, size=(n, width), dtype=np.int16)
    moved = np.where(change, (codes + shift) % space.n_options, np.where(before, codes, fresh))
    return space.canonical(moved.astype(np.int16))


def cross(space: SearchSpace, first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
    """Uniform crossover: every choice comes from one of the two parents (Syswerda 1989); one that is inactive in a parent yields."""
    take = rng.random(first.shape) < 0.5
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
