import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import TooNoisy
from hwnas.profiler.anchor import MIN_ANCHORS, anchoring, spread_over


def times(n, *, seed=0):
    return {f"m{i:02d}": float(ms) for i, ms in enumerate(np.random.default_rng(seed).uniform(0.05, 5.0, n))}


def busier(quiet_ms, *, slope=0.97, factor=1.7, noise=0.0, seed=1):
    rng = np.random.default_rng(seed)
    return {key: factor * ms**slope * float(rng.lognormal(0, noise)) for key, ms in quiet_ms.items()}


@settings(deadline=None)
@given(st.floats(0.8, 1.2), st.floats(0.5, 3.0), st.integers(0, 1000))
def test_an_affine_map_of_logarithms_is_found_exactly(slope, factor, seed):
    quiet = times(12, seed=seed)
    found = anchoring(busier(quiet, slope=slope, factor=factor), quiet)
    assert found.comparable
    assert found.convert_ms(factor * 0.7**slope) == pytest.approx(0.7)


def test_models_that_are_no_anchors_are_brought_over_too():
    quiet = times(60)
    busy = busier(quiet, noise=0.01)
    keys = spread_over(busy, 14)
    assert len(keys) == 14
    found = anchoring({k: busy[k] for k in keys}, {k: quiet[k] for k in keys})
    off = [abs(found.convert_ms(busy[k]) / quiet[k] - 1) for k in quiet if k not in keys]
    assert np.median(off) < 0.02
    assert found.anchors == tuple(sorted(keys))


def test_one_anchor_that_went_wrong_does_not_carry_the_others_away():
    quiet = times(14)
    busy = busier(quiet)
    busy["m03"] *= 3
    found = anchoring(busy, quiet)
    assert found.convert_ms(busy["m05"]) == pytest.approx(quiet["m05"], rel=0.02)


def test_sessions_that_have_nothing_to_do_with_each_other_are_not_comparable():
    quiet = times(14)
    found = anchoring(busier(quiet, noise=0.3), quiet)
    assert not found.comparable
    with pytest.raises(TooNoisy, match=r"not comparable: 14 models .* off by \d+\.\d %"):
        found.convert_ms(1.0)


def test_too_few_anchors_and_impossible_times_are_refused():
    quiet = times(MIN_ANCHORS)
    few = dict(list(quiet.items())[1:])
    with pytest.raises(TooNoisy, match="by 10 models or more that were measured in both, not by 9"):
        anchoring(few, quiet)
    with pytest.raises(TooNoisy, match="finite and above 0"), np.errstate(divide="ignore"):
        anchoring({**quiet, "m00": 0.0}, quiet)


def test_anchors_are_spread_from_the_quickest_to_the_slowest():
    quiet = times(50)
    keys = spread_over(quiet, 10)
    assert quiet[keys[0]] == min(quiet.values())
    assert quiet[keys[-1]] == max(quiet.values())
    assert spread_over(times(3), 10) == tuple(sorted(times(3), key=times(3).__getitem__))


def test_equal_anchors_give_a_scale():
    found = anchoring({f"m{i}": 2.0 for i in range(10)}, {f"m{i}": 1.0 for i in range(10)})
    assert (found.slope, found.convert_ms(4.0)) == (1.0, pytest.approx(2.0))
