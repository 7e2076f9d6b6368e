import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.device import QUANTILES, Device, Measurement, MeasurePlan, Published
from hwnas.core.errors import ConfigError
from hwnas.core.serial import parse

TIMES = st.lists(st.floats(0.001, 1000.0), min_size=1, max_size=60)


@settings(deadline=None)
@given(TIMES, st.sampled_from(sorted(QUANTILES)))
def test_quantiles_lie_within_the_samples_and_their_interval(times: list[float], statistic: str) -> None:
    measured = Measurement(tuple(times), rejected=0)
    value = measured.quantile_ms(statistic)
    low, high = measured.interval_ms(statistic)
    assert min(times) <= low <= value <= high <= max(times)
    assert value == np.quantile(times, QUANTILES[statistic])


@settings(deadline=None)
@given(TIMES)
def test_more_confidence_is_a_wider_interval(times: list[float]) -> None:
    measured = Measurement(tuple(times), rejected=0)
    narrow, wide = measured.interval_ms("p50", confidence=0.8), measured.interval_ms("p50", confidence=0.99)
    assert wide[0] <= narrow[0]
    assert narrow[1] <= wide[1]


# 1-based ranks of the order statistics for the 95 % interval of the median, from tables of the sign test
@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (20, 6, 15), (30, 10, 21), (50, 18, 33), (1, 1, 1), (5, 1, 5)])
def test_the_interval_of_the_median_is_the_published_one(n: int, low: int, high: int) -> None:
    measured = Measurement(tuple(float(i) for i in range(n, 0, -1)), rejected=0)
    assert measured.interval_ms("p50") == (low, high)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for statistic, truth in (("p50", 0.5), ("p90", 0.9)):
        hits = 0
        for _ in range(600):
            low, high = Measurement(tuple(rng.uniform(size=80).tolist()), rejected=0).interval_ms(statistic)
            hits += low <= truth <= high
        assert 0.93 <= hits / 600 <= 0.99


def test_many_samples_do_not_underflow() -> None:
    measured = Measurement(tuple(np.linspace(1, 2, 20_001).tolist()), rejected=0)
    low, high = measured.interval_ms("p50")
    assert 1.49 < low < 1.5 < high < 1.51


def test_unknown_statistics_and_no_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown statistic 'p51'; known: p10, p25, p50, p90, p99"):
        Measurement((1.0,), rejected=0).quantile_ms("p51")
    with pytest.raises(ConfigError, match="without samples"):
        Measurement((), rejected=0).quantile_ms("p50")
    with pytest.raises(ConfigError, match="without samples"):
        Measurement((), rejected=0).interval_ms("p50")


def test_a_device_needs_a_thread() -> None:
    with pytest.raises(ConfigError, match="threads must be at least 1, not 0"):
        Device("a", "local", threads=0)


@pytest.mark.parametrize(("cores", "threads"), [((1, 1), 1), ((-1,), 1), ((0,), 2)])
def test_cores_are_distinct_and_enough_for_the_threads(cores, threads):
    assert Device("a", "local", threads=1, cores=(3, 0)).cores == (3, 0)
    with pytest.raises(ConfigError, match="must be distinct numbers from 0"):
        Device("a", "local", threads=threads, cores=cores)


@pytest.mark.parametrize(
    "change",
    [
        {"warmup": -1},
        {"min_repeats": 0},
        {"max_seconds": 0.0},
        {"cooldown_s": -1.0},
        {"max_rel_ci": 0.0},
        {"min_sample_us": -1.0},
        {"heat_s": -1.0},
    ],
)
def test_a_plan_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a measuring plan needs"):
        MeasurePlan(**change)


def test_a_plan_is_about_a_known_statistic() -> None:
    with pytest.raises(ConfigError, match="unknown statistic 'mean'; known: p10, p25"):
        MeasurePlan(statistic="mean")


def test_half_of_an_interval_is_relative_and_infinite_without_both_ends() -> None:
    assert Measurement((1.0,) * 5, rejected=0).half_width("p50") == math.inf
    assert Measurement((0.9,) * 3 + (1.0,) * 10 + (1.1,) * 3, rejected=0).half_width("p50") == 0.0
    assert Measurement(tuple(float(i) for i in range(1, 11)), rejected=0).half_width("p50") == pytest.approx(3.5 / 5.5)


def test_descriptors_are_read_strictly() -> None:
    device = parse(Device, {"id": "pi4", "transport": "ssh", "runtimes": ["litert"], "facts": {"ram_gb": 4, "big": True}}, where="pi4.toml")
    assert device.runtimes == ("litert",)
    assert device.facts == {"ram_gb": 4, "big": True}
    with pytest.raises(ConfigError, match="unknown key 'runtime'; did you mean 'runtimes'"):
        parse(Device, {"id": "pi4", "transport": "ssh", "runtime": ["litert"]}, where="pi4.toml")
    with pytest.raises(ConfigError, match="must be a finite number"):
        parse(MeasurePlan, {"max_seconds": math.inf}, where="plan")


@given(st.floats(0.01, 100.0), st.floats(0.0, 1.0), st.integers(1, 10_000))
def test_a_published_mean_stands_for_the_median_with_the_interval_of_a_mean(mean: float, spread: float, count: int) -> None:
    measured = Measurement((), rejected=0, published=Published(count, mean, spread * mean))
    low, high = measured.interval_ms("p50")
    assert measured.quantile_ms("p50") == mean
    assert measured.count == count
    assert 0 <= low <= mean <= high
    assert high - mean == pytest.approx(1.96 * spread * mean / math.sqrt(count), rel=1e-3, abs=1e-12)
    assert measured.half_width("p50") == pytest.approx((high - low) / 2 / mean)
    wide = measured.interval_ms("p50", confidence=0.99)
    assert wide[0] <= low <= high <= wide[1]


def test_of_a_published_mean_no_tail_and_without_a_spread_no_interval_is_known() -> None:
    measured = Measurement((), rejected=0, published=Published(7, 2.0))
    assert measured.interval_ms("p50") == (0.0, math.inf)
    assert measured.half_width("p50") == math.inf
    for statistic in ("p10", "p90", "p99"):
        with pytest.raises(ConfigError, match=f"no {statistic} is known where only the mean was published"):
            measured.quantile_ms(statistic)
    with pytest.raises(ConfigError, match="unknown statistic 'p51'"):
        measured.quantile_ms("p51")
