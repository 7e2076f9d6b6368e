import math

import numpy as np
import pytest
from hwnas_agent import precision
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core import device
from hwnas.core.device import Measurement, samples_needed

STATISTICS = sorted(precision.QUANTILES)


def test_the_agent_knows_the_hosts_statistics():
    assert precision.QUANTILES == device.QUANTILES


@settings(deadline=None)
@given(st.integers(1, 2000), st.sampled_from(STATISTICS))
def test_agent_and_host_take_the_same_ranks(n, statistic):
    assert precision.ranks(n, precision.QUANTILES[statistic]) == device._ranks(n, device.QUANTILES[statistic], 0.95)


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1000.0), min_size=1, max_size=500), st.sampled_from(STATISTICS))
def test_agent_and_host_agree_on_how_wide_an_interval_is(times, statistic):
    agents, hosts = precision.half_width(times, statistic), Measurement(tuple(times), rejected=0).half_width(statistic)
    assert agents == pytest.approx(hosts, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_interval_needs_both_ends(statistic):
    needed = samples_needed(statistic)
    assert precision.half_width([1.0] * (needed - 1), statistic) == math.inf
    assert precision.half_width([1.0] * needed, statistic) == 0


def test_more_samples_of_the_same_noise_make_it_narrower():
    rng = np.random.default_rng(0)
    few, many = (np.median([precision.half_width(rng.normal(1, 0.05, n).tolist(), "p50") for _ in range(40)]) for n in (30, 120))
    assert many == pytest.approx(few / 2, rel=0.2)
