from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.device import Measurement
from hwnas.core.errors import ConfigError, PredictorError, TableError
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.table import LatencyTable, Network
from hwnas.space.family import blocks_of, family_of
from hwnas.space.moves import sample
from tests.latency.tables import OVERHEAD_MS, make_table, tiny_space

SPACE = tiny_space(20, 24)


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    return make_table(SPACE, networks=30)


@pytest.fixture(scope="module")
def fitted(table: LatencyTable) -> AdditiveLatency:
    return AdditiveLatency.from_table(table, SPACE)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_sum_is_that_of_its_blocks(table: LatencyTable, fitted: AdditiveLatency, seed: int) -> None:
    codes = sample(SPACE, 3, np.random.default_rng(seed))
    assert table.overhead is not None
    overhead = table.overhead.quantile_ms("p50")
    by_hand = [
        sum(max(table.entries[b.key].quantile_ms("p50") - overhead, 0.0) for b in blocks_of(SPACE, SPACE.architecture(code)))
        for code in codes
    ]
    np.testing.assert_allclose(fitted.sums_ms(codes), by_hand, rtol=1e-12)


def test_the_fit_recovers_what_the_networks_were_made_of(fitted: AdditiveLatency) -> None:
    assert fitted.scaling is not None
    assert fitted.scaling.scale == pytest.approx(0.9, rel=0.02)
    assert fitted.scaling.intercept_ms == pytest.approx(OVERHEAD_MS, rel=0.05)
    assert fitted.scaling.relative_std < 0.02


def test_predictions_hold_on_networks_that_were_not_in_the_fit(table: LatencyTable, fitted: AdditiveLatency) -> None:
    other = AdditiveLatency.from_table(replace(table, networks={}), SPACE)
    codes = sample(SPACE, 200, np.random.default_rng(99))
    truth = OVERHEAD_MS + 0.9 * other.sums_ms(codes)
    predicted = fitted.predict(codes)
    assert np.max(np.abs(predicted.mean / truth - 1)) < 0.03
    np.testing.assert_allclose(predicted.std / predicted.mean, fitted.scaling.relative_std if fitted.scaling else np.nan)


def test_the_upper_bound_covers_about_its_share(table: LatencyTable) -> None:
    noisy = AdditiveLatency.from_table(make_table(SPACE, networks=60, noise=0.05, seed=3), SPACE, quantile=0.9)
    rng = np.random.default_rng(5)
    codes = sample(SPACE, 2000, rng)
    # medians of 12 samples with 5 % noise, as the networks of the fit had
    measured = noisy.predict(codes).mean * np.median(rng.lognormal(0, 0.05, (2000, 12)), axis=1)
    assert 0.8 < np.mean(measured <= noisy.upper(codes)) < 0.97
    assert (noisy.upper(codes) > noisy.predict(codes).mean).all()


def test_statistics_are_read_as_asked(table: LatencyTable) -> None:
    codes = sample(SPACE, 50, np.random.default_rng(0))
    medians = AdditiveLatency.from_table(table, SPACE)
    tails = AdditiveLatency.from_table(table, SPACE, statistic="p90", block_statistic="p10")
    assert (tails.statistic, tails.block_statistic) == ("p90", "p10")
    assert (tails.sums_ms(codes) < medians.sums_ms(codes)).all()
    # whatever the blocks' statistic, what is predicted is the networks'
    assert (tails.predict(codes).mean > medians.predict(codes).mean).all()
    with pytest.raises(ConfigError, match="unknown statistic 'p42'"):
        AdditiveLatency.from_table(table, SPACE, statistic="p42")


def test_without_whole_networks_there_is_a_mean_but_no_bound(table: LatencyTable) -> None:
    plain = AdditiveLatency.from_table(replace(table, networks={}), SPACE)
    codes = sample(SPACE, 4, np.random.default_rng(0))
    predicted = plain.predict(codes)
    np.testing.assert_allclose(predicted.mean, plain.sums_ms(codes) + plain.overhead_ms)
    assert np.isnan(predicted.std).all()
    with pytest.raises(PredictorError, match="no bound without measured whole networks of space 'tiny-32'; run 'hwnas profile bench'"):
        plain.upper(codes)


def test_networks_of_another_space_are_not_used(table: LatencyTable) -> None:
    foreign = make_table(tiny_space(28), networks=5).networks
    assert AdditiveLatency.from_table(replace(table, networks=foreign), SPACE).scaling is None


def test_a_block_quicker_than_the_empty_call_costs_nothing(table: LatencyTable) -> None:
    key = sorted(table.entries)[0]
    quick = replace(table, entries={**table.entries, key: Measurement((OVERHEAD_MS / 2,), rejected=0)})
    assert AdditiveLatency.from_table(quick, SPACE).times_ms.min() == 0.0
    without = AdditiveLatency.from_table(replace(quick, overhead=None), SPACE)
    assert without.times_ms.min() == OVERHEAD_MS / 2


def test_blocks_are_read_by_their_medians_whatever_is_predicted(table: LatencyTable) -> None:
    """A sum of p99s is no p99, and slow outliers of the empty call would eat whole blocks."""
    spiked = Measurement((*([OVERHEAD_MS] * 20), 1000.0), rejected=0)
    predictor = AdditiveLatency.from_table(replace(table, overhead=spiked), SPACE, statistic="p99")
    assert predictor.block_statistic == "p50"
    assert predictor.overhead_ms == OVERHEAD_MS
    assert predictor.minimum().shape == (1, len(SPACE.choices))


def test_blocks_that_took_no_longer_than_nothing_give_no_predictor(table: LatencyTable) -> None:
    with pytest.raises(PredictorError, match="measure again when less else runs there"):
        AdditiveLatency.from_table(replace(table, overhead=Measurement((1000.0,) * 9, rejected=0)), SPACE)


def test_a_table_without_a_block_is_refused(table: LatencyTable) -> None:
    key = sorted(table.entries)[7]
    partial = replace(table, entries={k: m for k, m in table.entries.items() if k != key})
    with pytest.raises(TableError, match=f"1 of {len(table.entries)} blocks are not in the table, first {key}"):
        AdditiveLatency.from_table(partial, SPACE)


def test_codes_of_another_space_are_refused_by_fit(fitted: AdditiveLatency) -> None:
    with pytest.raises(ConfigError, match="not of it"):
        fitted.fit(np.zeros((1, 3), dtype=np.int16), np.ones(1))


def test_the_largest_is_as_it_was_measured_where_it_was(table: LatencyTable, fitted: AdditiveLatency) -> None:
    _, largest = family_of(SPACE).extremes(SPACE)
    network = Network(largest, Measurement((7.0, 8.0, 9.0), rejected=0))
    known = AdditiveLatency.from_table(replace(table, networks={**table.networks, network.key: network}), SPACE)
    assert known.largest_ms() == 8.0
    assert known.predict(largest.codes).mean[0] != 8.0
    tails = AdditiveLatency.from_table(replace(table, networks={**table.networks, network.key: network}), SPACE, statistic="p90")
    assert tails.largest_ms() == network.measurement.quantile_ms("p90")
    assert fitted.measured_largest_ms is None


def test_extremes(fitted: AdditiveLatency) -> None:
    _, largest = family_of(SPACE).extremes(SPACE)
    assert fitted.largest_ms() == fitted.predict(largest.codes).mean[0]
    codes = sample(SPACE, 3000, np.random.default_rng(1))
    least = fitted.predict(fitted.minimum()).mean[0]
    assert least <= fitted.predict(codes).mean.min()
    assert fitted.label == "bench/onnxruntime"
