"""Accuracies that their losses correct: nearer to the truth where counting is coarse, and left alone where losses tell nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwnas.space.mobilenet_v3  # noqa: F401  (registers its spaces)
from hwnas.core.errors import PredictorError
from hwnas.space.family import SpaceOptions, find_space
from hwnas.space.moves import sample, unique
from hwnas.supernet.predictor import fit_scores, new_accuracy
from hwnas.supernet.smoothed import smoothed


def counted(images, *, seed=0, around=0.0):
    """True accuracies of 200 subnets, what counting on ``images`` images gives, and losses that go with the truth but for ``around``."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.88, 0.007, 200)
    loss = 0.4 - 2 * (truth - 0.88 + rng.normal(0, around, 200))
    return truth, rng.binomial(images, truth) / images, loss


def test_on_few_images_the_loss_takes_the_luck_away():
    truth, accuracy, loss = counted(500)
    off, before = (np.sqrt(np.mean((each - truth) ** 2)) for each in (smoothed(accuracy, loss, images=500), accuracy))
    assert off < before / 3


def test_what_counting_cannot_explain_is_kept():
    truth, accuracy, loss = counted(1_000_000, around=0.004)
    off, line = (np.sqrt(np.mean((each - truth) ** 2)) for each in (smoothed(accuracy, loss, images=1_000_000), np.full(200, truth.mean())))
    assert off < 0.1 * line


@pytest.mark.parametrize("loss", [np.ones(200), np.linspace(0, 1, 200)])
def test_losses_that_tell_nothing_change_nothing(loss):
    accuracy = np.linspace(0.8, 0.9, 200)
    np.testing.assert_array_equal(smoothed(accuracy, loss, images=1000), accuracy)


@given(st.integers(0, 30), st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_shares_stay_shares_and_their_mean_where_none_is_cut(n, images, seed):
    rng = np.random.default_rng(seed)
    accuracy, loss = rng.uniform(0.4, 0.6, n), rng.uniform(0, 3, n)
    out = smoothed(accuracy, loss, images=images)
    assert out.shape == (n,)
    assert ((out >= 0) & (out <= 1)).all()
    if n:
        assert out.mean() == pytest.approx(accuracy.mean(), abs=1e-9)


@pytest.mark.parametrize(
    ("accuracy", "loss", "images"),
    [
        (np.ones(3), np.ones(2), 10),
        (np.ones((2, 2)), np.ones((2, 2)), 10),
        (np.ones(2), np.array([1, np.nan]), 10),
        (np.ones(2), np.ones(2), 0),
    ],
)
def test_what_is_no_evaluation_is_refused(accuracy, loss, images):
    with pytest.raises(PredictorError, match="a finite accuracy and loss"):
        smoothed(accuracy, loss, images=images)


@pytest.mark.parametrize("kind", ["ridge", "additive"])
def test_predictors_learn_from_losses_and_are_as_unsure_as_counting(kind):
    space = find_space("tiny-32", SpaceOptions(resolutions=(16, 24)))
    codes = unique(sample(space, 120, np.random.default_rng(0)))
    truth = 0.8 + 0.02 * (codes / np.maximum(space.n_options - 1, 1)).mean(axis=1)
    accuracies = np.random.default_rng(1).binomial(500, truth) / 500
    model = new_accuracy(kind, space, seed=0)
    with_losses = fit_scores(model, codes, accuracies, 1 - truth, images=500)
    by_counts = model.fit(codes, accuracies)
    errors = [np.abs(each.predict(codes).mean - truth).mean() for each in (with_losses, by_counts)]
    assert errors[0] < errors[1] / 2
    assert with_losses.predict(codes).std.mean() == pytest.approx(0.4 / 500**0.5, rel=0.2)  # of a share of about 0.8
