import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import PredictorError
from hwnas.latency.scale import fit_scale


def sums(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 2.0, n)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.3, 3.0), share=st.floats(0.0, 0.5), n=st.integers(8, 40), seed=st.integers(0, 1000))
def test_an_exact_line_is_found(scale: float, share: float, n: int, seed: int) -> None:
    x = sums(n, seed)
    fit = fit_scale(x, share + scale * x, overhead_ms=0.0, quantile=0.95)
    assert fit.scale == pytest.approx(scale, rel=1e-6)
    assert fit.intercept_ms == pytest.approx(share, abs=1e-6)
    assert fit.relative_margin < 1e-6


def test_the_known_overhead_is_the_intercept_when_a_free_one_does_not_help() -> None:
    x = sums(20)
    noisy = (0.1 + 0.8 * x) * np.random.default_rng(1).lognormal(0, 0.05, 20)
    fit = fit_scale(x, noisy, overhead_ms=0.1, quantile=0.95)
    assert fit.intercept_ms == 0.1
    assert fit.scale == pytest.approx(0.8, rel=0.05)


def test_few_networks_never_free_the_intercept() -> None:
    x = sums(7)
    assert fit_scale(x, 1.0 + x, overhead_ms=0.0, quantile=0.95).intercept_ms == 0.0


def test_equal_sums_cannot_give_an_intercept() -> None:
    fit = fit_scale(np.full(10, 2.0), np.full(10, 3.0), overhead_ms=0.5, quantile=0.95)
    assert fit.scale == pytest.approx(1.25)
    assert fit.intercept_ms == 0.5


def test_an_intercept_is_never_negative() -> None:
    x = sums(30)
    fit = fit_scale(x, 1.2 * x - 0.3, overhead_ms=0.05, quantile=0.95)
    assert fit.intercept_ms >= 0.0
    assert fit.scale > 0


def test_an_overhead_above_the_networks_is_left_out() -> None:
    fit = fit_scale(sums(5), 0.5 * sums(5), overhead_ms=10.0, quantile=0.95)
    assert fit.scale == pytest.approx(0.5)
    assert fit.intercept_ms == 0.0


def test_one_outlier_hardly_moves_the_fit() -> None:
    x = sums(30)
    y = 0.9 * x * np.random.default_rng(2).lognormal(0, 0.01, 30)
    y[3] *= 3
    fit = fit_scale(x, y, overhead_ms=0.0, quantile=0.95)
    assert fit.scale == pytest.approx(0.9, rel=0.01)
    assert fit.residuals[3] == pytest.approx(2.0, abs=0.1)


def test_one_network_gives_a_scale_and_no_error_to_speak_of() -> None:
    fit = fit_scale(np.array([2.0]), np.array([1.5]), overhead_ms=0.5, quantile=0.95)
    assert fit.scale == pytest.approx(0.5)
    assert fit.residuals == pytest.approx(0.0)


@pytest.mark.parametrize(("n", "quantile", "rank"), [(39, 0.95, 38), (19, 0.95, 19), (10, 0.95, 10), (99, 0.9, 90)])
def test_the_margin_is_the_conformal_rank_of_the_residuals(n: int, quantile: float, rank: int) -> None:
    x = sums(n)
    fit = fit_scale(x, x * np.random.default_rng(4).lognormal(0, 0.05, n), overhead_ms=0.0, quantile=quantile)
    assert fit.relative_margin == np.sort(fit.residuals)[rank - 1]
    assert fit.numbers()["networks"] == n


def test_residuals_are_of_fits_without_the_network_itself() -> None:
    x, y = np.array([1.0, 1.0]), np.array([1.0, 2.0])
    np.testing.assert_allclose(fit_scale(x, y, overhead_ms=0.0, quantile=0.5).residuals, [1 / 2 - 1, 2 / 1 - 1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_time_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(PredictorError, match="network 1 measured"):
        fit_scale(np.ones(3), np.array([1.0, bad, 1.0]), overhead_ms=0.0, quantile=0.95)
    with pytest.raises(PredictorError, match="network 0 measured"):
        fit_scale(np.array([bad, 1.0]), np.ones(2), overhead_ms=0.0, quantile=0.95)


def test_what_does_not_match_is_refused() -> None:
    with pytest.raises(PredictorError, match="got 0 networks"):
        fit_scale(np.zeros(0), np.zeros(0), overhead_ms=0.0, quantile=0.95)
    with pytest.raises(PredictorError, match="got 2 networks and 3 times"):
        fit_scale(np.ones(2), np.ones(3), overhead_ms=0.0, quantile=0.95)
    for quantile in (0.0, 1.0, math.nan):
        with pytest.raises(PredictorError, match="between 0 and 1"):
            fit_scale(np.ones(2), np.ones(2), overhead_ms=0.0, quantile=quantile)
