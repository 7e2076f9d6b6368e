"""What is special about strategies that an ensemble guides: that it learns, that they follow it, how they grow."""

from functools import partial

import numpy as np
import pytest

from hwnas.core.errors import ConfigError
from hwnas.search.ensemble import Ensemble
from hwnas.search.predictor_guided import PredictorGuided
from hwnas.search.progressive import Progressive
from hwnas.search.strategy import STRATEGIES, Outcomes, StrategyFactory, Trials, search
from hwnas.space.moves import encode
from tests.latency.tables import tiny_space
from tests.search.models import SMALL, Weighted, everything

TINY = tiny_space(16, 20)
ACCURACY = Weighted(TINY, 3)


def judge(trials: Trials) -> Outcomes:
    return Outcomes(-ACCURACY.predict(trials.codes).mean[:, None], np.zeros(len(trials)))


def test_an_ensemble_knows_what_it_saw_and_is_unsure_of_the_rest() -> None:
    codes = everything(SMALL)
    x, truth = encode(SMALL, codes), Weighted(SMALL, 0).predict(codes).mean
    y = (truth - truth.mean()) / truth.std()
    seen = np.random.default_rng(1).permutation(len(codes))[:60]
    said = Ensemble.of(x[seen], y[seen], np.random.default_rng(0)).predict(x)
    assert said.shape == (5, len(codes))
    unseen = np.setdiff1d(np.arange(len(codes)), seen)
    assert np.corrcoef(said.mean(axis=0)[unseen], y[unseen])[0, 1] > 0.9
    np.testing.assert_allclose(said.mean(axis=0)[seen], y[seen], atol=0.4)
    assert said.std(axis=0)[unseen].mean() > 1.3 * said.std(axis=0)[seen].mean()


def test_the_gradients_of_an_ensemble_are_slopes() -> None:
    rng = np.random.default_rng(0)
    model = Ensemble.of(rng.normal(size=(20, 4)), rng.normal(size=20), rng, members=2, width=3, steps=5)
    x, y = rng.normal(size=(2, 6, 4)), rng.normal(size=(2, 6))

    def loss() -> float:
        decay = sum(float((model.weights[w] ** 2).sum()) for w in ("w1", "w2", "w3")) * 1e-3 / 2
        return float(((model._forward(x)[-1][:, :, 0] - y) ** 2).mean(axis=1).sum()) / 2 + decay

    for name, gradient in model._gradients(x, y).items():
        for at in list(np.ndindex(gradient.shape))[:: max(1, gradient.size // 6)]:
            model.weights[name][at] += 1e-6
            above = loss()
            model.weights[name][at] -= 2e-6
            assert gradient[at] == pytest.approx((above - loss()) / 2e-6, abs=1e-5), name
            model.weights[name][at] += 1e-6


@pytest.mark.parametrize("make", [PredictorGuided, partial(Progressive, beam=6)], ids=["predictor_guided", "progressive"])
def test_it_finds_more_with_few_evaluations_than_chance(make: StrategyFactory) -> None:
    best = {}
    for name, each in (("random", STRATEGIES.get("random")), ("guided", make)):
        best[name] = [search(each(TINY, seed=s), judge, trials=150, batch=10).objectives[:, 0].min() for s in range(2)]
    assert max(best["guided"]) < min(best["random"])


def test_features_are_what_the_ensemble_sees() -> None:
    def blind(codes: np.ndarray) -> np.ndarray:
        return np.zeros((len(codes), 1))

    seeing, guessing = (search(PredictorGuided(TINY, seed=0, features=f), judge, trials=150, batch=10) for f in (None, blind))
    assert seeing.objectives[-50:].mean() < guessing.objectives[-50:].mean() - 0.1


def test_it_grows_from_the_smallest_by_one_choice_at_a_time() -> None:
    history = search(Progressive(TINY, seed=0, beam=6), judge, trials=40, batch=4)
    sizes = (history.codes > 0).sum(axis=1)
    assert sizes.tolist() == sorted(sizes)
    assert np.bincount(sizes).tolist()[:4] == [1, 6, 6, 6]
    for code, size in zip(history.codes[1:], sizes[1:], strict=True):
        parents = history.codes[sizes == size - 1]
        assert min(((code != parent) & (parent > 0)).sum() for parent in parents) == 0


def test_once_everything_has_grown_it_looks_everywhere_and_finds_what_growing_did_not() -> None:
    # what is best is small, which growing passes early and with few
    def small(trials: Trials) -> Outcomes:
        return Outcomes(ACCURACY.predict(trials.codes).mean[:, None] + 0.5 * (trials.codes > 0).sum(axis=1)[:, None], np.zeros(len(trials)))

    history = search(Progressive(TINY, seed=0, beam=2), small, trials=90, batch=5)
    sizes = (history.codes > 0).sum(axis=1)
    grown = int(np.argmax(np.diff(sizes) < 0)) + 1
    assert 20 < grown < 80
    assert sizes[grown:].min() < sizes[:grown].max() - 2
    assert history.objectives[grown:].mean() < history.objectives[:grown].mean()


def test_settings_that_cannot_be_are_refused() -> None:
    for options in ({"random": 1}, {"candidates": 3}):
        with pytest.raises(ConfigError, match="predictor-guided search needs"):
            PredictorGuided(TINY, seed=0, **options)  # type: ignore[arg-type]
    for options in ({"beam": 0}, {"candidates": 3}):
        with pytest.raises(ConfigError, match="a beam of at least 1"):
            Progressive(TINY, seed=0, **options)
