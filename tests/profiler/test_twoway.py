import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.errors import TooNoisy
from hwnas.profiler.twoway import Attempts, busy_times, running_median


def session(own_ms, *, rounds=120, seed=0, states=(1.0, 1.7), dwell_s=0.3, noise=0.01, share=0.5):
    """Models visited in random order round by round, on a device that changes between two states at random times."""
    rng = np.random.default_rng(seed)
    edges, when, state = [], 0.0, 0
    while when < 1e3:
        when += rng.exponential(dwell_s * (share if state else 1 - share) * 2)
        state = 1 - state
        edges.append(when)
    now, at, times = 0.0, {k: [] for k in own_ms}, {k: [] for k in own_ms}
    keys = list(own_ms)
    for _ in range(rounds):
        for i in rng.permutation(len(keys)):
            slow = states[int(np.searchsorted(edges, now)) % 2]
            run_ms = own_ms[keys[i]] * slow * rng.lognormal(0, noise)
            at[keys[i]].append(now)
            times[keys[i]].append(run_ms)
            now += 4 * run_ms / 1e3
    return {k: Attempts(at[k], times[k]) for k in keys}


def ratios(found, own_ms):
    """Found times over true ones; what is left is their spread, since a session has a scale of its own."""
    out = np.array([np.median(found.samples_ms[k]) / own_ms[k] for k in own_ms])
    return out / np.median(out)


OWN = {f"m{i}": 0.1 * 1.3**i for i in range(12)}


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_state_of_the_device_is_taken_off(seed, share):
    found = busy_times(session(OWN, rounds=60, seed=seed, share=share))
    assert np.max(np.abs(ratios(found, OWN) - 1)) < 0.03
    for key, samples in found.samples_ms.items():
        assert np.std(np.log(samples)) < 0.25, key


def test_without_the_second_way_the_same_data_are_far_off():
    sessions = [session(OWN, rounds=40, seed=seed, dwell_s=0.1) for seed in range(3)]
    plain = [np.array([np.median(attempts[k].run_ms) / OWN[k] for k in OWN]) for attempts in sessions]
    assert max(np.ptp(times / np.median(times)) for times in plain) > 0.3
    assert max(np.ptp(ratios(busy_times(attempts), OWN)) for attempts in sessions) < 0.02


def test_two_busy_sessions_differ_by_a_scale():
    one, two = (busy_times(session(OWN, seed=s, states=states)) for s, states in ((1, (1.0, 1.2)), (2, (1.5, 1.7))))
    between = np.array([np.median(two.samples_ms[k]) / np.median(one.samples_ms[k]) for k in OWN])
    assert np.ptp(between) / np.median(between) < 0.02
    assert one.spread < two.spread + 0.2


def test_samples_stay_as_many_and_the_same_input_gives_the_same():
    attempts = session(OWN, rounds=10)
    found = busy_times(attempts)
    assert {k: len(v) for k, v in found.samples_ms.items()} == {k: len(a.run_ms) for k, a in attempts.items()}
    assert found == busy_times(dict(reversed(list(attempts.items()))))


def test_a_steady_device_keeps_its_times():
    attempts = session({"a": 1.0, "b": 2.0}, states=(1.0, 1.0), noise=0.0)
    found = busy_times(attempts)
    assert found.samples_ms["a"] == pytest.approx([1.0] * 120)
    assert found.spread == pytest.approx(0.0)


@pytest.mark.parametrize(
    "attempts",
    [
        {},
        {"a": Attempts([], [])},
        {"a": Attempts([0.0], [0.0])},
        {"a": Attempts([0.0], [float("nan")])},
        {"a": Attempts([0.0, 1.0], [1.0])},
    ],
)
def test_what_cannot_be_analysed_is_refused(attempts):
    with pytest.raises(TooNoisy):
        busy_times(attempts)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.sampled_from([1, 3, 5, 41]))
def test_a_running_median_is_that_of_the_neighbours(values, window):
    smooth = running_median(np.array(values), window)
    half = window // 2
    for i in range(len(values)):
        assert smooth[i] == pytest.approx(np.median(values[max(0, i - half) : i + half + 1]))
