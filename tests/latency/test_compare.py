"""Whether a table still holds, by ratios of models that were timed again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.device import Measurement
from hwnas.core.errors import TableError, TooNoisy
from hwnas.latency.compare import SCALE_WITHIN, compare

TIMES = {f"b{i}": 0.1 * 1.3**i for i in range(12)}


def measured(times, *, noise=0.01):
    return {key: Measurement(tuple(ms * (1 + noise * (i - 10) / 10) for i in range(21)), 0) for key, ms in times.items()}


def now(factor):
    return measured({key: ms * factor(number) for number, (key, ms) in enumerate(TIMES.items())})


@pytest.mark.parametrize(
    ("factor", "verdict", "scale"),
    [
        (lambda _: 1.0, "holds", 1.0),
        (lambda _: 1.03, "holds", 1.03),
        (lambda n: 1 + 0.02 * (-1) ** n, "holds", 1.0),
        (lambda n: 2.0 if n == 3 else 1.0, "holds", 1.0),
        (lambda _: 1.2, "scale", 1.2),
        (lambda _: 0.7, "scale", 0.7),
        (lambda n: 1.5 if n < 4 else 1.0, "again", 1.0),
        (lambda n: 0.8 + 0.05 * n, "again", 1.075),
    ],
)
def test_the_verdict(factor, verdict, scale):
    found = compare(measured(TIMES), now(factor))
    assert found.verdict == verdict
    assert found.scale == pytest.approx(scale, rel=0.03)
    assert found.scale_low <= found.scale <= found.scale_high


@given(st.floats(0.2, 5.0))
def test_a_common_scale_never_needs_a_new_table(scale):
    found = compare(measured(TIMES), now(lambda _: scale))
    assert found.scale == pytest.approx(scale)
    assert found.spread == pytest.approx(0.0, abs=1e-9)
    if abs(abs(scale - 1) - SCALE_WITHIN) > 1e-6:
        assert found.verdict == ("holds" if abs(scale - 1) < SCALE_WITHIN else "scale")


def test_each_ratio_lies_in_its_interval_and_a_wide_one_decides_nothing():
    found = compare(measured(TIMES), now(lambda _: 1.1))
    assert all(r.low < r.ratio < r.high for r in found.ratios)
    assert [r.key for r in found.ratios] == list(TIMES)
    with pytest.raises(TooNoisy, match=r"known to \d+% only, .* compare again when less else runs there"):
        compare(measured(TIMES, noise=0.5), measured(TIMES, noise=0.5))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TableError, match="x is not in the table"):
        compare(measured(TIMES), measured(TIMES | {"x": 1.0}))
    with pytest.raises(TableError, match="at least three models"):
        compare(measured(TIMES), measured({"b0": 1.0}))
