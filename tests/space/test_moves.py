"""The moves of a search, on spaces that are drawn: they never leave the space, and they reach all of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.arch import Choice, Condition, SearchSpace
from hwnas.space.family import find_space
from hwnas.space.moves import cross, encode, mutate, sample, sample_spread, unique
from tests.search.models import SMALL, everything

TINY = find_space("tiny-32")
SPACES = st.sampled_from([TINY, SMALL, find_space("ofa-w1.0")])
SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(space=SPACES, n=st.integers(0, 20), seed=SEEDS, rate=st.floats(0.0, 1.0))
def test_no_move_leaves_the_space(space: SearchSpace, n: int, seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    codes, others = sample(space, n, rng), sample(space, n, rng)
    for moved in (codes, sample_spread(space, n, rng), mutate(space, codes, rng, rate=rate), cross(space, codes, others, rng)):
        assert moved.shape == (n, len(space.choices))
        assert moved.dtype == np.int16
        space.check(moved)


@settings(deadline=None)
@given(space=SPACES, seed=SEEDS)
def test_the_same_seed_moves_the_same(space: SearchSpace, seed: int) -> None:
    def moves() -> np.ndarray:
        rng = np.random.default_rng(seed)
        codes = sample(space, 5, rng)
        return np.concatenate([codes, mutate(space, codes, rng, rate=0.1), cross(space, codes, codes[::-1], rng)])

    np.testing.assert_array_equal(moves(), moves())


@settings(deadline=None)
@given(space=SPACES, seed=SEEDS, rate=st.sampled_from([0.0, 0.05, 1.0]))
def test_a_mutation_is_another_architecture(space: SearchSpace, seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    codes = sample(space, 10, rng)
    before = codes.copy()
    assert (mutate(space, codes, rng, rate=rate) != codes).any(axis=1).all()
    np.testing.assert_array_equal(codes, before)


def test_mutations_reach_every_architecture_from_any_other() -> None:
    rng = np.random.default_rng(0)
    reached = everything(SMALL)[:1]
    for _ in range(12):
        reached = unique(np.concatenate([reached, mutate(SMALL, np.repeat(reached, 20, axis=0), rng, rate=0.2)]))
    assert len(reached) == SMALL.size


def test_a_low_rate_changes_about_one_choice() -> None:
    rng = np.random.default_rng(0)
    codes = sample(TINY, 2000, rng)
    active = TINY.active(codes)
    changed = ((mutate(TINY, codes, rng, rate=1e-9) != codes) & active & TINY.active(codes)).sum(axis=1)
    # the depth switches other choices on or off, which counts too; hence the median
    assert np.median(changed) == 1


def test_a_choice_that_is_switched_on_starts_anywhere() -> None:
    space = SearchSpace("test", "switch", (1, 1, 1), (Choice("on", (0, 1)), Choice("value", (1, 2, 3), Condition("on", (1,)))))
    moved = mutate(space, np.zeros((300, 2), dtype=np.int16), np.random.default_rng(0), rate=0.0)
    assert (moved[:, 0] == 1).all()
    assert set(moved[:, 1].tolist()) == {0, 1, 2}


def test_a_space_without_alternatives_cannot_be_mutated() -> None:
    space = SearchSpace("test", "fixed", (1, 1, 1), (Choice("only", ("a",)),))
    codes = sample(space, 3, np.random.default_rng(0))
    moved = mutate(space, codes, np.random.default_rng(0), rate=1.0)
    np.testing.assert_array_equal(moved, codes)
    assert moved is not codes


@settings(deadline=None)
@given(space=SPACES, seed=SEEDS)
def test_every_choice_of_a_child_comes_from_a_parent(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = sample(space, 6, rng), sample(space, 6, rng)
    child = cross(space, first, second, rng)
    on = space.active(child)
    from_first = (child == first) & space.active(first)
    from_second = (child == second) & space.active(second)
    assert (from_first | from_second)[on].all()
    np.testing.assert_array_equal(cross(space, first, first, rng), first)


@settings(deadline=None)
@given(space=SPACES, seed=SEEDS)
def test_an_encoding_is_one_hot_over_active_choices(space: SearchSpace, seed: int) -> None:
    codes = sample(space, 5, np.random.default_rng(seed))
    encoded = encode(space, codes)
    assert encoded.shape == (5, int(space.n_options.sum()))
    assert set(np.unique(encoded)) <= {0.0, 1.0}
    start = 0
    for position, n in enumerate(space.n_options):
        part = encoded[:, start : start + n]
        np.testing.assert_array_equal(part.sum(axis=1), space.active(codes)[:, position])
        rows = part.sum(axis=1) > 0
        np.testing.assert_array_equal(part.argmax(axis=1)[rows], codes[rows, position])
        start += int(n)


def test_encodings_tell_architectures_apart() -> None:
    codes = everything(SMALL)
    assert len(np.unique(encode(SMALL, codes), axis=0)) == len(codes)


def test_unique_keeps_the_first_of_each_in_order() -> None:
    codes = np.array([[2, 1], [0, 0], [2, 1], [1, 0], [0, 0]], dtype=np.int16)
    assert unique(codes).tolist() == [[2, 1], [0, 0], [1, 0]]


@pytest.mark.parametrize("space", [TINY, SMALL])
def test_samples_use_every_option_about_equally(space: SearchSpace) -> None:
    codes = sample(space, 6000, np.random.default_rng(0))
    active = space.active(codes)
    for position, n in enumerate(space.n_options):
        shares = np.bincount(codes[active[:, position], position], minlength=n) / active[:, position].sum()
        np.testing.assert_allclose(shares, 1 / n, atol=0.04)


def test_spread_samples_reach_further_than_uniform_ones() -> None:
    def size(codes: np.ndarray) -> np.ndarray:
        return np.asarray((codes / np.maximum(TINY.n_options - 1, 1)).sum(axis=1) / TINY.active(codes).sum(axis=1))

    even, spread = (size(draw(TINY, 3000, np.random.default_rng(0))) for draw in (sample, sample_spread))
    assert spread.std() > 1.5 * even.std()
    assert np.quantile(spread, 0.05) < np.quantile(even, 0.05)
    assert np.quantile(spread, 0.95) > np.quantile(even, 0.95)
