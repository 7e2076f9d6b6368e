import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.device import MeasurePlan
from hwnas.profiler.estimate import session_seconds

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
