"""Which subnets are evaluated: distinct ones with both ends, the same for the same seed; informative ones leave less unknown."""

import numpy as np
import pytest

from hwnas.pipeline.selection import informative, spread
from hwnas.space.family import family_of, find_space
from hwnas.space.moves import sample
from hwnas.supernet.features import features


@pytest.fixture(scope="module")
def space():
    return find_space("tiny-32")


@pytest.mark.parametrize("select", [spread, informative])
def test_subnets_are_distinct_reproducible_and_hold_both_ends(space, select):
    codes = select(space, 40, seed=3)
    assert codes.shape == (40, len(space.choices))
    assert len(np.unique(codes, axis=0)) == 40
    space.check(codes)
    rows = {row.tobytes() for row in codes}
    assert all(arch.codes[0].tobytes() in rows for arch in family_of(space).extremes(space))
    assert np.array_equal(select(space, 40, seed=3), codes)
    assert not np.array_equal(select(space, 40, seed=4), codes)


def test_informative_subnets_leave_less_unknown(space):
    others = sample(space, 300, np.random.default_rng(9))
    centre, scale = features(space, others).mean(axis=0), np.maximum(features(space, others).std(axis=0), 1e-9)

    def unknown(codes):
        """Mean variance of a linear model on other subnets, after seeing ``codes``."""
        seen, new = ((features(space, each) - centre) / scale for each in (codes, others))
        width = seen.shape[1]
        covariance = np.linalg.inv(width * np.eye(width) + seen.T @ seen / 0.04)
        return float(np.mean(np.einsum("ij,jk,ik->i", new, covariance, new)))

    assert unknown(informative(space, 60, seed=0)) < 0.9 * unknown(spread(space, 60, seed=0))
