import numpy as np
import pytest
from hwnas_agent.band import HIGH, LOW, MIN_PROBES, QuietBand
from hypothesis import given, settings
from hypothesis import strategies as st


def band_of(*modes, known_us=None, seed=0):
    """A band that saw ``(level_us, count)`` modes with half a percent of noise, mixed."""
    rng = np.random.default_rng(seed)
    times = np.concatenate([np.full(count, level) for level, count in modes])
    band = QuietBand(known_us)
    for time in rng.permutation(times) * rng.normal(1, 0.005, len(times)):
        band.add(time)
    band.settle()
    return band


@given(st.floats(5, 5000), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_one_mode_is_the_level_wherever_it_is(level, seed):
    band = band_of((level, 300), seed=seed)
    assert band.level_us == pytest.approx(level, rel=0.006)
    assert band.quiet(level)


def test_the_fastest_dense_mode_wins_over_a_denser_slow_one():
    band = band_of((110, 80), (190, 920))
    assert band.level_us == pytest.approx(110, rel=0.01)
    assert not band.quiet(190)


def test_a_rare_turbo_state_is_neither_the_level_nor_quiet():
    band = band_of((97, 20), (110, 480), (190, 500))
    assert band.level_us == pytest.approx(110, rel=0.01)
    assert not band.quiet(97)


def test_a_known_level_keeps_a_busy_session_from_passing_as_quiet():
    band = band_of((190, 1000), known_us=110.0)
    assert band.level_us == 110.0
    assert not band.quiet(190)


def test_what_the_band_of_a_known_level_does_not_hold_is_another_speed():
    """Times from there would not be comparable with those of the session that knew the level."""
    band = band_of((146, 1000), known_us=136.7)
    assert band.level_us == 136.7
    assert not band.quiet(146.2)


def test_a_known_level_gives_way_to_what_the_session_shows():
    assert band_of((113, 500), known_us=110.0).level_us == pytest.approx(113, rel=0.006)
    assert band_of((80, 500), known_us=110.0).level_us == pytest.approx(80, rel=0.006)


def test_too_few_probes_say_nothing():
    band = band_of((100, MIN_PROBES - 1))
    assert band.level_us == 0
    assert not band.quiet(100)


def test_the_band_has_two_ends():
    band = QuietBand(100.0)
    assert [band.quiet(100 * x) for x in (LOW - 0.01, LOW + 0.01, 1, HIGH - 0.01, HIGH + 0.01)] == [False, True, True, True, False]
