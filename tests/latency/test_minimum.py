from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hwnas.core.arch import Block, Choice, Codes, Condition, SearchSpace
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.latency import minimum
from hwnas.latency.minimum import smallest
from hwnas.space.family import FAMILIES, Group
from hwnas.space.moves import encode
from tests.latency.tables import tiny_space


class Chain:
    """A family small enough for brute force: one whole-network choice, two groups with a conditional choice each."""

    name = "test-chain"

    def presets(self) -> tuple[()]:
        return ()

    def vocabulary(self, space: SearchSpace) -> tuple[Block, ...]:
        return ()

    def block_ids(self, space: SearchSpace, codes: Codes) -> NDArray[np.int32]:
        return np.zeros((len(codes), 0), dtype=np.int32)

    def groups(self, space: SearchSpace) -> tuple[Group, ...]:
        return (Group("a", (1, 2)), Group("b", (3, 4, 5)))


SPACE = SearchSpace(
    "test-chain",
    "chain",
    (1, 8, 8),
    (
        Choice("size", (8, 16, 24)),
        Choice("a.depth", (1, 2)),
        Choice("a.kernel", (3, 5, 7), Condition("a.depth", (2,))),
        Choice("b.depth", (1, 2, 3)),
        Choice("b.kernel", (3, 5), Condition("b.depth", (2, 3))),
        Choice("b.expand", (3, 4, 6), Condition("b.depth", (3,))),
    ),
)


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES._items, "test-chain", Chain())
        yield


def everything() -> Codes:
    codes = np.array(list(product(*(range(int(n)) for n in SPACE.n_options))), dtype=np.int16)
    return np.unique(SPACE.canonical(codes), axis=0)


class Cost:
    """Each option costs its own at each size: a random sum over blocks."""

    def __init__(self, seed: int) -> None:
        width = int(SPACE.n_options.sum())
        self.times = np.random.default_rng(seed).uniform(0, 1, (3, width))

    def __call__(self, codes: Codes) -> Floats:
        total: Floats = (encode(SPACE, codes) * self.times[codes[:, 0]]).sum(axis=1)
        return total


def test_the_brute_force_lists_every_architecture() -> None:
    assert len(everything()) == SPACE.size == 3 * (1 + 3) * (1 + 2 + 6)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_is_the_minimum_of_all(seed: int) -> None:
    cost = Cost(seed)
    found = smallest(SPACE, cost)
    SPACE.check(found)
    assert cost(found)[0] == pytest.approx(cost(everything()).min(), rel=1e-12)


def test_groups_that_depend_on_each_other_are_refused() -> None:
    def entangled(codes: Codes) -> Floats:
        return 1.0 + np.asarray(codes[:, 1] * codes[:, 3], dtype=np.float64)

    with pytest.raises(PredictorError, match="space 'chain': what a group costs depends on other groups"):
        smallest(SPACE, entangled)


def test_groups_that_cannot_be_listed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimum, "MAX_CONFIGURATIONS", 10)
    with pytest.raises(PredictorError, match="a group has 18 combinations; at most 10"):
        smallest(SPACE, Cost(0))


def test_a_space_of_several_resolutions_is_searched_over_all_of_them() -> None:
    space = tiny_space(20, 28)
    # the larger input is made the cheaper one
    found = smallest(space, lambda codes: 2.0 - codes[:, 0].astype(np.float64))
    assert found[0, 0] == 1
