from pathlib import Path

import numpy as np
import pytest

from hwnas.core.artifacts import load_predictor, save_predictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Floats
from hwnas.latency.agreement import agreement
from hwnas.latency.transfer import KIND, DevicePrior, Source, TransferLatency
from hwnas.latency.views import views
from hwnas.space.family import find_space
from hwnas.space.moves import sample

SPACE = find_space("nas-bench-201")
VIEWS = views(SPACE)
RNG = np.random.default_rng(0)
POOL = np.unique(sample(SPACE, 600, RNG), axis=0)


def weights(rng: np.random.Generator) -> Floats:
    """A constant and four operations: devices lie between two extremes."""
    share = rng.uniform()
    low, high = np.array([6.0, 0.1, 1.0, 1.2, 0.3]), np.array([2.0, 0.1, 1.5, 5.0, 0.8])
    return (share * low + (1 - share) * high) * rng.uniform(0.3, 3)


def device(name: str, *, view: str = "written", noise: float = 0.02) -> Source:
    times = VIEWS[view](POOL) @ weights(RNG) * (1 + noise * RNG.standard_normal(len(POOL)))
    return Source(name, f"{name}/batch 1", POOL, times)


PRIOR = DevicePrior.learn(SPACE, [*(device(f"d{i}") for i in range(6)), device("compiled", view="needed")])


@pytest.mark.parametrize("view", VIEWS)
def test_a_new_device_is_learned_from_ten_measurements(view: str) -> None:
    new = device("new", view=view, noise=0.02)
    chosen = PRIOR.choose(POOL, 10)
    fitted = TransferLatency(SPACE, "new", PRIOR).fit(POOL[chosen], new.measured_ms[chosen])
    rest = np.setdiff1d(np.arange(len(POOL)), chosen)
    found = fitted.predict(POOL[rest])
    assert fitted.view == view
    assert agreement(found.mean, new.measured_ms[rest]).within_10 > 0.97
    assert 0.5 < np.std((new.measured_ms[rest] - found.mean) / found.std) < 1.5


def test_one_spoiled_measurement_of_ten_does_little() -> None:
    new = device("new", noise=0.01)
    chosen = PRIOR.choose(POOL, 10)
    times = new.measured_ms[chosen].copy()
    times[4] *= 3
    found = TransferLatency(SPACE, "new", PRIOR).fit(POOL[chosen], times).predict(POOL)
    assert agreement(found.mean, new.measured_ms).within_10 > 0.9


def test_chosen_networks_teach_more_than_drawn_ones() -> None:
    def left(rows: np.ndarray) -> float:
        fitted = TransferLatency(SPACE, "new", PRIOR).fit(POOL[rows], new.measured_ms[rows])
        return agreement(fitted.predict(POOL).mean, new.measured_ms).mape

    new = device("new", noise=0.03)
    drawn = [left(np.random.default_rng(seed).choice(len(POOL), 6, replace=False)) for seed in range(8)]
    assert left(PRIOR.choose(POOL, 6)) < np.median(drawn)


def test_columns_of_one_device_count_once_and_leave_together() -> None:
    twice = [device("a"), device("a"), device("b")]
    prior = DevicePrior.learn(SPACE, twice)
    assert prior.devices == ("a", "b")
    assert prior.without("a").devices == ("b",)
    with pytest.raises(PredictorError, match="at least 2 known ones, not 1"):
        prior.without("a").choose(POOL, 5)


def test_a_stored_one_predicts_the_same_and_cannot_be_fitted(tmp_path: Path) -> None:
    chosen = PRIOR.choose(POOL, 10)
    fitted = TransferLatency(SPACE, "new", PRIOR).fit(POOL[chosen], device("new").measured_ms[chosen])
    save_predictor(tmp_path / "p.json", KIND, *fitted.state())
    again = TransferLatency.restore(SPACE, load_predictor(tmp_path / "p.json"))
    for name in ("mean", "std"):
        np.testing.assert_array_equal(getattr(again.predict(POOL), name), getattr(fitted.predict(POOL), name))
    with pytest.raises(PredictorError, match="knows no other devices any more"):
        again.fit(POOL[chosen], np.arange(1.0, 11.0))
    with pytest.raises(PredictorError, match="the predictor is of space"):
        TransferLatency.restore(find_space("tiny-32"), load_predictor(tmp_path / "p.json"))


def test_before_a_fit_nothing_is_predicted_or_stored() -> None:
    with pytest.raises(PredictorError, match="nothing was measured yet"):
        TransferLatency(SPACE, "new", PRIOR).predict(POOL)
    with pytest.raises(PredictorError, match="nothing to store"):
        TransferLatency(SPACE, "new", PRIOR).state()
