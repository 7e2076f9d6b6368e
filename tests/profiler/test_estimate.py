import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.device import MeasurePlan
from hwnas.profiler.estimate import burst_seconds, native_seconds, session_seconds
from hwnas.profiler.native import BURST_MS, CHUNK
from hwnas.profiler.nativetools import MAX_RUNS

LONG = MeasurePlan(max_seconds=1e9)


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=50), st.floats(0.02, 1))
def test_more_or_longer_models_and_less_quiet_take_longer(expected_ms, quiet_share):
    base = session_seconds(expected_ms, LONG, quiet_share=quiet_share)
    assert session_seconds([*expected_ms, 1.0], LONG, quiet_share=quiet_share) > base
    assert session_seconds([2 * ms for ms in expected_ms], LONG, quiet_share=quiet_share) > base
    assert session_seconds(expected_ms, LONG, quiet_share=quiet_share / 2) > base


def test_the_plan_bounds_the_session_and_its_rests_count():
    assert session_seconds([1000.0] * 100, MeasurePlan(max_seconds=60)) == 60
    rest_s = session_seconds([1.0] * 100, MeasurePlan(cooldown_s=2)) - session_seconds([1.0] * 100, MeasurePlan())
    assert rest_s == pytest.approx(8)


def test_a_hundred_and_fifty_small_blocks_take_less_than_half_a_minute_on_a_quiet_device():
    assert 2 < session_seconds([0.1] * 150, MeasurePlan()) < 30


def test_single_calls_of_small_models_are_quicker_to_take():
    assert session_seconds([0.01] * 100, MeasurePlan(min_sample_us=0.0)) < session_seconds([0.01] * 100, MeasurePlan())


@given(st.lists(st.tuples(st.floats(0.001, 100), st.integers(0, 31)), min_size=1, max_size=50), st.floats(0, 1))
def test_more_bursts_of_longer_models_with_slower_starts_take_longer(models, start_s):
    expected_ms, left = [ms for ms, _ in models], [n for _, n in models]
    base = native_seconds(expected_ms, left, start_s=start_s)
    assert native_seconds(expected_ms, [n + 1 for n in left], start_s=start_s) > base
    assert native_seconds([*expected_ms, 1.0], [*left, 1], start_s=start_s) > base
    assert native_seconds(expected_ms, left, start_s=start_s + 0.1) >= base + 0.1 * sum(left)


def test_bursts_are_of_a_length_and_the_reference_is_in_each_round_of_a_chunk():
    assert burst_seconds(1.0, start_s=0.0) == pytest.approx(BURST_MS / 1e3, rel=0.25)
    assert burst_seconds(0.001, start_s=0.0) == pytest.approx((MAX_RUNS + 4) * 1e-6)
    one = native_seconds([1.0], [10], start_s=0.0) - native_seconds([1.0], [0], start_s=0.0)
    assert one == pytest.approx(20 * burst_seconds(1.0, start_s=0.0))
    whole = native_seconds([1.0] * CHUNK, [10] * CHUNK, start_s=0.0) - native_seconds([1.0], [0], start_s=0.0)
    assert whole == pytest.approx((CHUNK + 1) * 10 * burst_seconds(1.0, start_s=0.0))
    assert native_seconds([], [], start_s=0.0) > 0
