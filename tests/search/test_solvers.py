"""The contract that every registered solver keeps. A new solver is tested here without a new test."""

import numpy as np
import pytest

from hwnas.core.errors import InfeasibleError
from hwnas.latency.additive import AdditiveLatency
from hwnas.search.pareto import pareto_front
from hwnas.search.solver import SOLVERS, Models, SolverFactory
from tests.latency.tables import make_table, tiny_space
from tests.search.models import SMALL, Timed, Weighted, everything

TINY = tiny_space(16, 20, 24)
LATENCY = AdditiveLatency.from_table(make_table(TINY), TINY)
MODELS = Models(TINY, LATENCY, Weighted(TINY, 1))
BUDGETS_MS = [share * LATENCY.largest_ms() for share in (0.6, 0.75, 0.9)]


@pytest.fixture(params=SOLVERS.names())
def make(request: pytest.FixtureRequest) -> SolverFactory:
    return SOLVERS.get(request.param)


def test_every_budget_gets_what_fits_it(make: SolverFactory) -> None:
    front = make(seed=0, trials=2000).solve(MODELS, BUDGETS_MS)
    reached = []
    for budget_ms in BUDGETS_MS:
        best = front.best(budget_ms)
        assert LATENCY.upper(best.codes)[0] <= budget_ms
        np.testing.assert_allclose(best.accuracy, MODELS.accuracy.predict(best.codes).mean)
        reached.append(float(best.accuracy[0]))
    assert reached == sorted(reached)
    TINY.check(front.archive.codes)
    rows = pareto_front(np.stack([front.archive.upper_ms, -front.archive.accuracy], axis=1))
    np.testing.assert_array_equal(front.points.codes, front.archive.codes[rows])


def test_the_best_of_a_small_space_is_found(make: SolverFactory) -> None:
    latency, accuracy = Timed(SMALL, 3), Weighted(SMALL, 4)
    codes = everything(SMALL)
    upper, truth = latency.upper(codes), accuracy.predict(codes).mean
    budgets_ms = np.quantile(upper, [0.1, 0.5, 0.9]).tolist()
    front = make(seed=0, trials=3000).solve(Models(SMALL, latency, accuracy), budgets_ms)
    for budget_ms in budgets_ms:
        assert front.best(budget_ms).accuracy[0] == pytest.approx(truth[upper <= budget_ms].max())


def test_the_same_seed_gives_the_same_front(make: SolverFactory) -> None:
    one, again = (make(seed=1, trials=1500).solve(MODELS, BUDGETS_MS) for _ in range(2))
    np.testing.assert_array_equal(one.archive.codes, again.archive.codes)
    np.testing.assert_array_equal(one.points.accuracy, again.points.accuracy)


@pytest.mark.parametrize("trials", [1, 37])
def test_few_trials_give_what_they_can(make: SolverFactory, trials: int) -> None:
    front = make(seed=0, trials=trials).solve(MODELS, BUDGETS_MS[:1])
    assert len(front.best(BUDGETS_MS[0])) == 1


def test_a_budget_that_nothing_fits_is_refused(make: SolverFactory) -> None:
    with pytest.raises(InfeasibleError, match="the quickest needs"):
        make(seed=0, trials=100).solve(MODELS, [1e-6, *BUDGETS_MS])
