import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hwnas.search.pareto import pareto_front


def brute_force(points: np.ndarray) -> set[int]:
    """Rows that no other row dominates; of equal rows the first."""
    keep = set()
    for i, p in enumerate(points):
        dominated = any((q <= p).all() and (q < p).any() for q in points)
        repeated = any((q == p).all() for q in points[:i])
        if not dominated and not repeated:
            keep.add(i)
    return keep


# few distinct values, so that ties and repeats are common
POINTS = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=4).map(lambda s: (s[0] * 6, s[1])), elements=st.integers(0, 5))


@settings(deadline=None)
@given(points=POINTS)
def test_it_is_what_the_definition_says(points: np.ndarray) -> None:
    front = pareto_front(points)
    assert set(front.tolist()) == brute_force(points)
    assert len(front) == len(set(front.tolist()))
    assert (np.diff(points[front, 0]) >= 0).all()


def test_ends() -> None:
    assert pareto_front(np.zeros((0, 2))).tolist() == []
    assert pareto_front(np.zeros((0, 3))).tolist() == []
    assert pareto_front(np.array([[3.0], [1.0], [1.0]])).tolist() == [1]
    assert pareto_front(np.array([[np.inf, 0.0], [0.0, np.inf], [np.inf, np.inf]])).tolist() == [1, 0]


def test_many_points_are_no_trouble() -> None:
    points = np.random.default_rng(0).uniform(size=(200_000, 2))
    front = pareto_front(points)
    assert (np.diff(points[front, 0]) > 0).all()
    assert (np.diff(points[front, 1]) < 0).all()
    assert points[:, 0].argmin() == front[0]


@pytest.mark.parametrize("points", [np.array([[0.0, np.nan]]), np.zeros(3)])
def test_what_cannot_be_ranked_is_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="without NaN are needed"):
        pareto_front(points)
