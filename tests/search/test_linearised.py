"""Linearise, solve, breed, polish: each step against what brute force says, and the solver on predictors that are no sums."""

import numpy as np
import pytest

from hwnas.core.arch import Choice, Codes, SearchSpace
from hwnas.core.errors import ConfigError, InfeasibleError, PredictorError, UnknownNameError
from hwnas.core.predict import Prediction
from hwnas.latency.additive import AdditiveLatency
from hwnas.search.front import find_front
from hwnas.search.linear import LinearFit
from hwnas.search.linearised import Linearised
from hwnas.search.polish import Moves, polish
from hwnas.search.pool import Pool
from hwnas.search.relaxed import Relaxed
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.structure import decompose
from hwnas.space.moves import encode, sample
from tests.latency.tables import make_table, tiny_space
from tests.search.models import SMALL, Timed, Weighted, everything

TINY = tiny_space(16, 20, 24)
LATENCY = AdditiveLatency.from_table(make_table(TINY), TINY)
BUDGETS_MS = [share * LATENCY.largest_ms() for share in (0.6, 0.75, 0.9)]


class Saturating(Weighted):
    """An accuracy that is no sum: the more there is, the less more helps."""

    def predict(self, codes: Codes) -> Prediction:
        plain = super().predict(codes)
        return Prediction(1 - np.exp(-plain.mean / 4), plain.std)


class Wavy(Timed):
    """A latency that is no sum: everything interacts."""

    def upper(self, codes: Codes) -> np.ndarray:
        plain = super().upper(codes)
        return plain + 0.1 * np.sin(7 * plain)

    def minimum(self) -> Codes:
        codes = everything(self.space)
        return codes[[int(np.argmin(self.upper(codes)))]]


MODELS = Models(TINY, LATENCY, Saturating(TINY, 1))


@pytest.mark.parametrize("latency", [Timed(SMALL, 3), Wavy(SMALL, 3)], ids=["sum", "no sum"])
def test_on_a_small_space_it_is_what_brute_force_finds(latency: Timed) -> None:
    accuracy = Saturating(SMALL, 4)
    codes = everything(SMALL)
    upper, truth = latency.upper(codes), accuracy.predict(codes).mean
    budgets_ms = np.quantile(upper, [0.1, 0.5, 0.9])
    front = Linearised(seed=0, trials=2000).solve(Models(SMALL, latency, accuracy), budgets_ms.tolist())
    for budget_ms in budgets_ms:
        assert front.best(float(budget_ms)).accuracy[0] == truth[upper <= budget_ms].max()
    assert front.bound is None


def test_it_beats_evolution_with_as_many_predictions() -> None:
    solved = find_front(TINY, LATENCY, MODELS.accuracy, BUDGETS_MS, strategy="linearised", trials=3000, seed=0)
    evolved = find_front(TINY, LATENCY, MODELS.accuracy, BUDGETS_MS, strategy="evolution", trials=3000, seed=0)
    gains = [solved.best(b).accuracy[0] - evolved.best(b).accuracy[0] for b in BUDGETS_MS]
    assert min(gains) >= 0
    assert solved.evaluated <= 3 * 3000 + 1000
    for budget_ms in BUDGETS_MS:
        assert solved.best(budget_ms).upper_ms[0] <= budget_ms


def test_the_same_seed_gives_the_same_front() -> None:
    one, again, other = (Linearised(seed=s, trials=1500).solve(MODELS, BUDGETS_MS) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.archive.codes, again.archive.codes)
    assert not np.array_equal(one.archive.codes, other.archive.codes)


@pytest.mark.parametrize("trials", [1, 37, 600])
def test_few_trials_give_what_they_can(trials: int) -> None:
    front = Linearised(seed=0, trials=trials).solve(MODELS, BUDGETS_MS[:1])
    assert len(front.best(BUDGETS_MS[0])) == 1


def test_what_cannot_be_solved_is_said_before_anything_is_predicted() -> None:
    with pytest.raises(InfeasibleError, match="the quickest needs"):
        Linearised().solve(MODELS, [1e-6])
    with pytest.raises(ConfigError, match="a finite number of ms above 0"):
        Linearised().solve(MODELS, [float("nan")])
    with pytest.raises(ConfigError, match="at least 1 trial"):
        Linearised(trials=0)
    with pytest.raises(UnknownNameError, match="did you mean 'linearised'"):
        find_front(TINY, LATENCY, MODELS.accuracy, BUDGETS_MS, strategy="linearized")


class Broken(Weighted):
    def predict(self, codes: Codes) -> Prediction:
        plain = super().predict(codes)
        return Prediction(np.where(codes[:, 0] == 1, np.nan, plain.mean), plain.std)


def test_a_predictor_that_gives_no_number_is_refused() -> None:
    with pytest.raises(PredictorError, match="accuracy that is not finite"):
        Linearised(trials=500).solve(Models(TINY, LATENCY, Broken(TINY, 0)), BUDGETS_MS)


@pytest.mark.parametrize("name", SOLVERS.names())
def test_every_solver_keeps_the_budgets_and_the_space(name: str) -> None:
    accuracy = Weighted(TINY, 5)
    front = SOLVERS.get(name)(seed=0, trials=500).solve(Models(TINY, LATENCY, accuracy), BUDGETS_MS)
    TINY.check(front.archive.codes)
    for budget_ms in BUDGETS_MS:
        best = front.best(budget_ms)
        assert LATENCY.upper(best.codes)[0] <= budget_ms
        np.testing.assert_allclose(best.accuracy, accuracy.predict(best.codes).mean)
    exact = SOLVERS.get("exact")(seed=0, trials=1).solve(Models(TINY, LATENCY, accuracy), BUDGETS_MS)
    for budget_ms in BUDGETS_MS:
        assert front.best(budget_ms).accuracy[0] <= exact.best(budget_ms).accuracy[0] + 1e-12


# ---- the steps


def test_a_linear_fit_finds_the_weights_of_a_sum() -> None:
    truth = Weighted(TINY, 8)
    codes = sample(TINY, 3000, np.random.default_rng(0))
    y = truth.predict(codes).mean
    fit = LinearFit.of(TINY, codes, y)
    other = sample(TINY, 500, np.random.default_rng(1))
    predicted = encode(TINY, other) @ fit.weights
    expected = truth.predict(other).mean
    np.testing.assert_allclose(predicted - predicted.mean(), expected - expected.mean(), atol=0.01)
    draws = fit.draws(4000, np.random.default_rng(2), boldness=3.0)
    np.testing.assert_allclose(draws.std(axis=1), 3 * np.linalg.norm(fit.spread, axis=1), rtol=0.1)


def test_what_the_relaxation_gives_is_on_the_hull_of_the_front() -> None:
    latency = Timed(SMALL, 2)
    codes = everything(SMALL)
    upper, hot = latency.upper(codes), encode(SMALL, codes)
    weights = np.stack([Weighted(SMALL, seed).weights for seed in range(40)], axis=1)
    budget_ms = float(np.quantile(upper, 0.4))
    found = Relaxed(decompose(SMALL, lambda c: latency.upper(c)[:, None])).solve(weights, budget_ms)
    assert len(found) == 40
    assert (latency.upper(found) <= budget_ms).all()
    for column, code in zip(weights.T, found, strict=True):
        gain, own, own_ms = hot @ column, float(encode(SMALL, code[None])[0] @ column), float(latency.upper(code[None])[0])
        # nothing that costs at most as much is better
        assert own >= gain[upper <= own_ms + 1e-9].max() - 1e-5


def test_polishing_ends_where_no_pair_of_moves_is_better() -> None:
    latency, accuracy = Timed(SMALL, 6), Saturating(SMALL, 7)
    sites = [(p,) for p in range(len(SMALL.choices))]
    budget_ms = float(np.median(latency.upper(everything(SMALL))))
    pool = Pool(Models(SMALL, latency, accuracy), budget_ms, trials=100_000, rng=np.random.default_rng(0))
    start = latency.minimum()
    moves = Moves.over(SMALL, sites)
    code, reached = polish(moves, pool, start[0], float(accuracy.predict(start).mean[0]), pairs=10_000)
    near, _ = moves.around(code)
    around = np.concatenate([near, *(moves.around(one)[0] for one in near)])
    # of two moves, those at different sites: with one choice a site, at most two choices differ
    within = ((around != code).sum(axis=1) <= 2) & (latency.upper(around) <= budget_ms)
    assert latency.upper(code[None])[0] <= budget_ms
    assert reached == accuracy.predict(code[None]).mean[0] > accuracy.predict(start).mean[0]
    assert accuracy.predict(around[within]).mean.max() <= reached + 1e-12


def test_a_pool_keeps_what_fits_and_counts_what_it_asks() -> None:
    latency, accuracy = Timed(SMALL, 0), Weighted(SMALL, 1)
    codes = everything(SMALL)
    budget_ms = float(np.median(latency.upper(codes)))
    pool = Pool(Models(SMALL, latency, accuracy), budget_ms, trials=30, rng=np.random.default_rng(0))
    assert len(pool.add(np.concatenate([codes, codes]))[0]) == 30
    assert (pool.used, pool.left) == (30, 0)
    assert len(pool.add(codes)[0]) == 0
    assert (latency.upper(pool.codes) <= budget_ms).all()
    best, values = pool.best(5)
    np.testing.assert_array_equal(values, np.sort(pool.accuracy)[::-1][:5])
    np.testing.assert_array_equal(accuracy.predict(best).mean, values)


def test_a_space_of_one_architecture_is_solved() -> None:
    one = SearchSpace("test", "one", (1, 1, 1), (Choice("only", (1,)),))
    for name in SOLVERS.names():
        front = SOLVERS.get(name)(seed=0, trials=50).solve(Models(one, Timed(one, 0), Weighted(one, 0)), [100.0])
        assert front.points.codes.tolist() == [[0]]
