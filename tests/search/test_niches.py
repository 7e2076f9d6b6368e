"""Parents that differ: what clearing keeps is apart, and nothing better than it was left out without being near."""

import numpy as np
import pytest

from hwnas.search.niches import cleared, stratified
from hwnas.space.moves import sample
from tests.latency.tables import tiny_space
from tests.search.models import Weighted

TINY = tiny_space(16, 20)


@pytest.mark.parametrize("apart", [1, 3, 6])
def test_what_is_cleared_is_near_something_better(apart: int) -> None:
    codes = np.unique(sample(TINY, 200, np.random.default_rng(apart)), axis=0)
    value = Weighted(TINY, 1).predict(codes).mean
    kept = cleared(TINY, codes, value, len(codes), apart=apart)
    assert kept[0] == np.argmax(value)
    assert (np.diff(value[kept]) <= 0).all()

    def differ(one: int, other: int) -> int:
        active = TINY.active(codes[[one, other]])
        same = (active.all(axis=0) & (codes[one] == codes[other])).sum()
        return int(active.sum(axis=1).max() - same)

    for row in range(len(codes)):
        better = [k for k in kept if value[k] >= value[row] and k != row]
        near = any(differ(row, k) < apart for k in better)
        assert near != (row in kept)
    np.testing.assert_array_equal(cleared(TINY, codes, value, 3, apart=apart), kept[:3])


def test_groups_go_by_their_best() -> None:
    rows = stratified(np.array([2, 0, 2, 1, 0]), np.array([0.1, 0.5, 0.9, 0.2, 0.3]), 2)
    assert [own.tolist() for own in rows] == [[0, 2], [1, 4]]
