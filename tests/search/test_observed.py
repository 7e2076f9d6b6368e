"""What is special about the strategies that learn from every outcome: the process, the limits, where they look."""

import numpy as np
import pytest

from hwnas.core.errors import ConfigError
from hwnas.search.bayesian import Bayesian, expected_improvement
from hwnas.search.gaussian import GaussianProcess
from hwnas.search.local import LocalSearch
from hwnas.search.observed import Observed
from hwnas.search.once_for_all import OnceForAllEvolution
from hwnas.search.scores import normal_scores
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials, search
from hwnas.space.moves import encode
from tests.latency.tables import tiny_space
from tests.search.models import SMALL, Weighted, everything

TINY = tiny_space(16, 20)
ACCURACY = Weighted(TINY, 3)


def judge(trials: Trials) -> Outcomes:
    return Outcomes(-ACCURACY.predict(trials.codes).mean[:, None], np.zeros(len(trials)))


def test_scores_are_normal_in_the_order_of_the_values() -> None:
    y = np.random.default_rng(0).permutation(np.exp(np.arange(101.0)))
    scores = normal_scores(y)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(y))
    assert scores.mean() == pytest.approx(0, abs=1e-12)
    assert scores.std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(normal_scores(np.array([2.0, 2.0])), [0, 0])
    assert normal_scores(np.array([1.0, 2.0, 2.0]))[1] == normal_scores(np.array([1.0, 2.0, 2.0]))[2]


def test_the_process_knows_what_it_saw_and_is_unsure_of_the_rest() -> None:
    codes = everything(SMALL)
    truth = Weighted(SMALL, 0).predict(codes).mean
    y = (truth - truth.mean()) / truth.std()
    seen = np.random.default_rng(1).permutation(len(codes))[:60]
    x = encode(SMALL, codes)
    model = GaussianProcess.of(x[seen], y[seen])
    mean, std = model.mean(x), model.std(x)
    unseen = np.setdiff1d(np.arange(len(codes)), seen)
    np.testing.assert_allclose(mean[seen], y[seen], atol=0.2)
    assert np.corrcoef(mean[unseen], y[unseen])[0, 1] > 0.9
    assert std[unseen].mean() > 2 * std[seen].mean()
    again = GaussianProcess.of(x[seen], y[seen], scales=model.scales)
    np.testing.assert_array_equal(again.mean(x), mean)


def test_expected_improvement_is_what_samples_give() -> None:
    mean, std = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, 0.1])
    draws = np.random.default_rng(0).normal(mean, std, size=(400_000, 3))
    np.testing.assert_allclose(expected_improvement(mean, std, 0.5), np.maximum(draws - 0.5, 0).mean(axis=0), atol=5e-3)


def test_a_process_finds_more_with_few_evaluations_than_chance() -> None:
    found = {}
    for name in ("random", "bayesian"):
        runs = [search(STRATEGIES.get(name)(TINY, seed=s), judge, trials=80, batch=5) for s in range(3)]
        found[name] = [run.objectives[:, 0].min() for run in runs]
    assert max(found["bayesian"]) < min(found["random"])


def test_local_search_asks_for_neighbours_of_the_best() -> None:
    strategy = LocalSearch(TINY, seed=0, random=4)
    first = strategy.ask(4)
    outcomes = judge(first)
    strategy.tell(first, outcomes)
    best = first.codes[np.argmin(outcomes.objectives[:, 0])]
    near = strategy.ask(6).codes
    changed = [(TINY.active(np.stack([code, best])).all(axis=0) & (code != best)).sum() for code in near]
    assert max(changed) == 1


def test_what_breaks_known_limits_is_left_alone() -> None:
    cost = Weighted(TINY, 9)
    limit = float(np.quantile(cost.predict(Observed(TINY, seed=0, initial=None, limits=None).random(500)).mean, 0.3))

    def limits(codes: np.ndarray) -> np.ndarray:
        return np.maximum(cost.predict(codes).mean / limit - 1, 0.0)

    for make in (Bayesian, LocalSearch, OnceForAllEvolution):
        history = search(make(TINY, seed=0, limits=limits), judge, trials=150, batch=10)
        assert len(history) == 150
        assert (limits(history.codes) == 0).all()


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 random trials"):
        Bayesian(TINY, seed=0, random=1)
    with pytest.raises(ConfigError, match="at least 1 random trial"):
        LocalSearch(TINY, seed=0, random=0)
    for parents, rate in ((0, 0.1), (101, 0.1), (25, 0.0)):
        with pytest.raises(ConfigError, match="parents within its population"):
            OnceForAllEvolution(TINY, seed=0, parents=parents, rate=rate)
