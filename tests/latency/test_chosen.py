"""Which model speaks for a table, and what its bound is good for."""

from dataclasses import replace

import numpy as np
import pytest

from hwnas.core.arch import Codes
from hwnas.core.device import Measurement
from hwnas.core.errors import PredictorError, TableError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.additivity import audited
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.chosen import ENOUGH, chosen_latency, why
from hwnas.search.front import find_front
from hwnas.space.family import family_of
from hwnas.space.moves import encode, sample
from tests.latency.tables import make_table, tiny_space

SPACE = tiny_space()
TABLE = make_table(SPACE, networks=40)
CODES = np.unique(sample(SPACE, 400, np.random.default_rng(7)), axis=0)


class Linear:
    """An accuracy that is a sum over choices, so that an exact search is possible."""

    weights = np.random.default_rng(3).normal(0, 0.01, encode(SPACE, CODES).shape[1])

    def fit(self, codes: Codes, y: Floats) -> "Linear":
        return self

    def predict(self, codes: Codes) -> Prediction:
        return Prediction(0.7 + encode(SPACE, codes) @ self.weights, np.full(len(codes), 0.01))

    def state(self) -> tuple[dict[str, object], dict[str, np.ndarray]]:
        return {}, {}


def test_enough_networks_give_the_calibrated_model_with_a_bound_of_95_percent() -> None:
    assert ENOUGH == 19
    model = chosen_latency(make_table(SPACE, networks=ENOUGH), SPACE)
    assert (model.kind, model.confidence, model.networks) == ("calibrated", 0.95, ENOUGH)
    assert why(model) == "calibrated model: block times corrected by 19 whole networks"


def test_too_few_networks_give_the_additive_model_and_what_they_can_bound() -> None:
    table = make_table(SPACE, networks=ENOUGH - 1)
    model, plain = chosen_latency(table, SPACE), AdditiveLatency.from_table(table, SPACE)
    assert (model.kind, model.confidence) == ("additive", pytest.approx(18 / 19))
    assert why(model) == "additive model: only 18 whole networks are measured, the calibrated one needs 19"
    np.testing.assert_array_equal(model.predict(CODES).mean, plain.predict(CODES).mean)
    np.testing.assert_allclose(model.upper(CODES), plain.upper(CODES), rtol=1e-14)


def test_no_network_gives_a_sum_without_a_bound() -> None:
    model = chosen_latency(make_table(SPACE, networks=0), SPACE)
    assert (model.kind, model.networks) == ("additive", 0)
    assert why(model).endswith("no whole network is measured, the calibrated one needs 19")
    for asked in (model.upper, model.outside):
        with pytest.raises(PredictorError, match="bench/onnxruntime: no interval before a fit"):
            asked(CODES)


def test_networks_that_cannot_be_learned_from_are_refused() -> None:
    (network,) = list(TABLE.networks.values())[:1]
    with pytest.raises(PredictorError, match="1 measured networks; at least 2 are needed"):
        chosen_latency(replace(TABLE, networks={network.key: network}), SPACE)
    constant = {key: replace(each, measurement=Measurement((1.0,) * 9, rejected=0)) for key, each in TABLE.networks.items()}
    with pytest.raises(PredictorError, match="all 40 networks measured 1 ms; there is nothing to learn from"):
        chosen_latency(replace(TABLE, networks=constant), SPACE)
    key = sorted(TABLE.entries)[5]
    with pytest.raises(TableError, match=f"1 of {len(TABLE.entries)} blocks are not in the table, first {key}"):
        chosen_latency(replace(TABLE, entries={k: m for k, m in TABLE.entries.items() if k != key}), SPACE)


def test_a_larger_confidence_is_a_larger_bound_up_to_what_networks_can_bound() -> None:
    model = chosen_latency(TABLE, SPACE)
    assert model.at(None) is model
    bounds = [model.at(level).upper(CODES[:1])[0] for level in (0.5, 0.8, 0.9, 0.95, 40 / 41)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1]
    with pytest.raises(PredictorError, match=r"bench/onnxruntime: 40 held-out networks cannot bound a share of 0\.99; measure 59 more"):
        model.at(0.99)
    for wrong in (0.0, 1.0, 95.0, -1.0, float("nan")):
        with pytest.raises(PredictorError, match="must be between 0 and 1"):
            model.at(wrong)


def test_the_bound_covers_what_it_says() -> None:
    """On networks that were not measured, averaged over tables."""
    kept = []
    for seed in range(6):
        table = make_table(SPACE, networks=40, noise=0.05, seed=seed)
        truth = 0.004 + 0.9 * AdditiveLatency.from_table(make_table(SPACE, networks=0, noise=1e-9, seed=seed), SPACE).sums_ms(CODES)
        # a network is the median of twelve samples, here as in the table
        noise = np.median(np.random.default_rng(seed).lognormal(0.0, 0.05, (12, len(CODES))), axis=0)
        kept.append(np.mean(truth * noise <= chosen_latency(table, SPACE).at(0.9).upper(CODES)))
    assert 0.84 < np.mean(kept) < 0.98


def test_the_calibrated_bound_is_a_sum_which_can_be_searched_exactly() -> None:
    model = chosen_latency(TABLE, SPACE)
    least = model.upper(model.minimum())[0]
    assert least <= model.upper(CODES).min()
    budgets = [share * model.largest_ms() for share in (0.6, 0.8)]
    exact = find_front(SPACE, model, Linear(), budgets, strategy="exact")
    assert exact.bound is not None
    found = find_front(SPACE, model, Linear(), budgets, strategy="linearised", trials=2000)
    for budget in budgets:
        assert found.best(budget).accuracy[0] <= exact.best(budget).accuracy[0] + 1e-9
        assert exact.best(budget).upper_ms[0] <= budget


def test_a_prediction_that_is_no_time_is_refused_before_a_search() -> None:
    model = chosen_latency(TABLE, SPACE)
    assert isinstance(model.predictor, CalibratedLatency)
    assert model.predictor.compiled is not None
    below = replace(model.predictor, compiled=replace(model.predictor.compiled, call_ms=-10.0))
    with pytest.raises(PredictorError, match=r"the calibrated model gives -9\.\d+ ms for the quickest architecture; measure more"):
        find_front(SPACE, replace(model, predictor=below), Linear(), [1.0], strategy="random")


def test_the_largest_is_as_it_was_measured_where_it_was() -> None:
    _, largest = family_of(SPACE).extremes(SPACE)
    model = chosen_latency(TABLE, SPACE)
    assert model.measured_largest_ms is None
    assert model.largest_ms() == model.predict(largest.codes).mean[0]
    assert replace(model, measured_largest_ms=7.0).largest_ms() == 7.0


def test_a_table_is_audited_in_one_line() -> None:
    assert audited(TABLE, SPACE).startswith("the table adds up: 100% of 40 networks are within 10 % of the scaled sum of their blocks")
    assert audited(replace(TABLE, networks={}), SPACE) == "not known: no whole network was measured"
    assert audited(TABLE, tiny_space(24)) == "not known: the whole networks are of another space than 'tiny-32'"
    assert "at least 5 are needed" in audited(make_table(SPACE, networks=4), SPACE)
    key = sorted(TABLE.entries)[5]
    lacking = replace(TABLE, entries={k: m for k, m in TABLE.entries.items() if k != key})
    assert f"first {key}" in audited(lacking, SPACE)
