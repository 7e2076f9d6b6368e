import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import PredictorError
from hwnas.latency.agreement import agreement, kendall, spearman

PAIRS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=2, max_size=200)


@settings(max_examples=80, deadline=None)
@given(PAIRS)
def test_rank_correlations_are_scipys(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    one, other = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        assert spearman(one, other) == kendall(one, other) == 0.0
        return
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert kendall(one, other) == pytest.approx(stats.kendalltau(one, other).statistic)


def test_shares_and_errors_by_hand() -> None:
    found = agreement(np.array([1.04, 2.18, 3.0, 5.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert (found.networks, found.within_5, found.within_10) == (4, 0.5, 0.75)
    assert found.mape == pytest.approx((0.04 + 0.09 + 0 + 0.25) / 4)
    assert found.spearman == found.kendall == 1.0
    assert found.r2 == pytest.approx(1 - (0.04**2 + 0.18**2 + 1) / 5)


def test_what_is_no_comparison_is_refused() -> None:
    with pytest.raises(PredictorError, match="two or more networks"):
        agreement(np.ones(1), np.ones(1))
    with pytest.raises(PredictorError, match="above 0"):
        agreement(np.ones(2), np.array([1.0, 0.0]))
