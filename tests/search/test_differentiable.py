"""What is special about the relaxation: it is no worse than chance by far, stops in time, and derives what fits."""

import numpy as np
import pytest

from hwnas.core.arch import Codes
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Prediction
from hwnas.latency.additive import AdditiveLatency
from hwnas.search.archive import Archive
from hwnas.search.differentiable import _PATIENCE, Differentiable, _Descent
from hwnas.search.front import find_front
from hwnas.search.solver import Models
from tests.latency.tables import make_table, tiny_space
from tests.search.models import Weighted

TINY = tiny_space(16, 20, 24)
LATENCY = AdditiveLatency.from_table(make_table(TINY), TINY)
BUDGET_MS = 0.7 * LATENCY.largest_ms()


class Saturating(Weighted):
    """An accuracy that is no sum."""

    def predict(self, codes: Codes) -> Prediction:
        plain = super().predict(codes)
        return Prediction(1 - np.exp(-plain.mean / 4), plain.std)


class Flat(Weighted):
    """Nothing is better than anything else."""

    def predict(self, codes: Codes) -> Prediction:
        return Prediction(np.ones(len(codes)), np.zeros(len(codes)))


def descent(accuracy: Weighted, seed: int = 0) -> tuple[_Descent, Archive]:
    models = Models(TINY, LATENCY, accuracy)
    archive = Archive(TINY, LATENCY, accuracy)
    return _Descent(models, archive, BUDGET_MS, np.random.default_rng(seed)), archive


def test_it_beats_chance_by_far_with_as_many_predictions() -> None:
    accuracy = Saturating(TINY, 1)
    front = Differentiable(seed=0, trials=3000).solve(Models(TINY, LATENCY, accuracy), [BUDGET_MS])
    chance = find_front(TINY, LATENCY, accuracy, [BUDGET_MS], strategy="random", trials=3000, seed=0)
    evolved = find_front(TINY, LATENCY, accuracy, [BUDGET_MS], strategy="evolution", trials=3000, seed=0)
    best, random, known = (float(f.best(BUDGET_MS).accuracy[0]) for f in (front, chance, evolved))
    assert best - random > 0.6 * (known - random)
    assert front.evaluated <= 3001


def test_a_descent_that_leads_nowhere_ends() -> None:
    walk, archive = descent(Flat(TINY, 0))
    walk.run(10**6)
    swaps = 2 * int(TINY.n_options.sum())
    assert archive.evaluated == (_PATIENCE + 1) * (swaps + 1)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_derived_fits(seed: int) -> None:
    walk, _ = descent(Saturating(TINY, 1), seed)
    hard = np.random.default_rng(seed).dirichlet(np.ones(3), 100).ravel()[: int(TINY.n_options.sum())]
    code = walk._derived(hard)
    TINY.check(code)
    assert LATENCY.upper(code)[0] <= BUDGET_MS


def test_chances_of_each_choice_add_up_and_harden_when_it_cools() -> None:
    walk, _ = descent(Saturating(TINY, 1))
    warm, cold = walk._chances(1.0), walk._chances(0.01)
    for chances in (warm, cold):
        np.testing.assert_allclose(np.bincount(walk._owner, chances), 1)
    assert warm.max(initial=0, where=TINY.n_options[walk._owner] > 1) < 0.9
    assert cold.min() < 1e-6


def test_a_search_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 trial"):
        Differentiable(trials=0)
