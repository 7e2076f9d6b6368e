import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.arch import Codes
from hwnas.core.errors import ConfigError, InfeasibleError, PredictorError, UnknownNameError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.additive import AdditiveLatency
from hwnas.search.archive import Front
from hwnas.search.feasible import check_budgets, smallest_upper_ms
from hwnas.search.front import find_front
from hwnas.search.pareto import pareto_front
from hwnas.space.moves import sample
from tests.latency.tables import make_table, tiny_space
from tests.search.models import SMALL, Timed, Weighted, everything

TINY = tiny_space(20, 24)
LATENCY = AdditiveLatency.from_table(make_table(TINY), TINY)
ACCURACY = Weighted(TINY, 1)
BUDGETS_MS = [share * LATENCY.largest_ms() for share in (0.6, 0.75, 0.9)]


@pytest.fixture(scope="module")
def front() -> Front:
    return find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, trials=2500, batch=128, seed=7)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0), strategy=st.sampled_from(["evolution", "random"]))
def test_on_a_small_space_it_is_what_brute_force_finds(seed: int, share: float, strategy: str) -> None:
    latency, accuracy = Timed(SMALL, seed), Weighted(SMALL, seed + 1)
    codes = everything(SMALL)
    upper, truth = latency.upper(codes), accuracy.predict(codes).mean
    budget_ms = float(upper.min() + share * (upper.max() - upper.min()))
    found = find_front(SMALL, latency, accuracy, [budget_ms], trials=5000, strategy=strategy, seed=seed)
    best = found.best(budget_ms)
    assert best.upper_ms[0] <= budget_ms
    # nearly all of the 117 architectures are seen: what is missed can cost a rank, not more
    assert best.accuracy[0] >= np.sort(truth[upper <= budget_ms])[-2:][0]


def test_every_budget_gets_what_fits_it(front: Front) -> None:
    for budget_ms in BUDGETS_MS:
        best = front.best(budget_ms)
        assert len(best) == 1
        assert best.upper_ms[0] <= budget_ms
        np.testing.assert_allclose(best.latency_ms, LATENCY.predict(best.codes).mean)
        np.testing.assert_allclose(best.upper_ms, LATENCY.upper(best.codes))
        np.testing.assert_allclose(best.accuracy, ACCURACY.predict(best.codes).mean)


def test_accuracy_never_falls_when_the_budget_grows(front: Front) -> None:
    low, high = smallest_upper_ms(LATENCY), LATENCY.largest_ms() * 1.2
    accuracies = [float(front.best(b).accuracy[0]) for b in np.linspace(low, high, 60)]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > accuracies[0]


def test_the_front_is_that_of_all_that_was_evaluated(front: Front) -> None:
    archive = front.archive
    assert front.evaluated >= len(archive) > 3 * 2000
    assert len(np.unique(archive.codes, axis=0)) == len(archive)
    rows = pareto_front(np.stack([archive.upper_ms, -archive.accuracy], axis=1))
    np.testing.assert_array_equal(front.points.codes, archive.codes[rows])
    assert (np.diff(front.points.upper_ms) > 0).all()
    assert (np.diff(front.points.accuracy) > 0).all()
    TINY.check(archive.codes)
    for budget_ms in BUDGETS_MS:
        assert (front.points.codes == front.best(budget_ms).codes).all(axis=1).any()


def test_the_same_seed_gives_the_same_front(front: Front) -> None:
    again = find_front(TINY, LATENCY, ACCURACY, list(reversed(BUDGETS_MS)) + BUDGETS_MS[:1], trials=2500, batch=128, seed=7)
    np.testing.assert_array_equal(front.archive.codes, again.archive.codes)
    np.testing.assert_array_equal(front.points.upper_ms, again.points.upper_ms)
    other = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, trials=2500, batch=128, seed=8)
    assert not np.array_equal(front.archive.codes, other.archive.codes)


def test_one_who_watches_sees_every_batch_and_changes_nothing(front: Front) -> None:
    seen: list[int] = []
    watched = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, trials=2500, batch=128, seed=7, watch=lambda a: seen.append(a.evaluated))
    assert (watched.archive.codes == front.archive.codes).all()
    assert seen == sorted(set(seen))
    assert seen[-1] == front.evaluated


def test_evolution_beats_random_under_every_budget(front: Front) -> None:
    random = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, strategy="random", trials=2500, seed=7)
    for budget_ms in BUDGETS_MS:
        assert front.best(budget_ms).accuracy[0] > random.best(budget_ms).accuracy[0]


def test_candidates_step_away_from_the_budget(front: Front) -> None:
    budget_ms = BUDGETS_MS[1]
    candidates = front.candidates(budget_ms, count=5, spacing=0.05)
    assert len(candidates) == 5
    np.testing.assert_array_equal(candidates.codes[:1], front.best(budget_ms).codes)
    assert candidates.upper_ms[0] <= budget_ms
    assert (candidates.upper_ms[1:] <= 0.95 * candidates.upper_ms[:-1]).all()
    assert (np.diff(candidates.accuracy) <= 0).all()
    for i in range(5):
        for j in range(i):
            assert (candidates.codes[i] != candidates.codes[j]).sum() >= 2


def test_candidates_end_where_nothing_fits(front: Front) -> None:
    least = smallest_upper_ms(LATENCY)
    only = front.candidates(least, count=4, spacing=0.1)
    np.testing.assert_array_equal(only.codes, LATENCY.minimum())
    assert len(front.candidates(least * 0.99)) == 0
    assert len(front.best(least * 0.99)) == 0


@pytest.mark.parametrize(("count", "spacing"), [(0, 0.1), (3, -0.1), (3, 1.0)])
def test_candidates_that_cannot_be_are_refused(front: Front, count: int, spacing: float) -> None:
    with pytest.raises(ConfigError, match="candidates need"):
        front.candidates(BUDGETS_MS[0], count=count, spacing=spacing)


def test_the_quickest_is_found_even_by_one_trial() -> None:
    budget_ms = smallest_upper_ms(LATENCY)
    found = find_front(TINY, LATENCY, ACCURACY, [budget_ms], trials=1)
    assert len(found.best(budget_ms)) == 1


# ---- before the search


class Untouched:
    """Fails when it is asked anything: nothing may be predicted before the inputs are known to be good."""

    def fit(self, codes: Codes, y: Floats) -> "Untouched":
        raise AssertionError

    def predict(self, codes: Codes) -> Prediction:
        raise AssertionError

    def state(self) -> tuple[dict[str, object], dict[str, np.ndarray]]:
        raise AssertionError


def test_a_budget_that_nothing_fits_is_found_before_the_search() -> None:
    least = smallest_upper_ms(LATENCY)
    with pytest.raises(InfeasibleError) as caught:
        find_front(TINY, LATENCY, Untouched(), [BUDGETS_MS[0], least * 0.9])
    message = str(caught.value)
    assert caught.value.exit_code == 6
    assert "\n" not in message
    assert "bench/onnxruntime: no architecture of space 'tiny-32' fits" in message
    # the number that is shown can be used as a budget
    shown = float(message.split("the quickest needs ")[1].split(" ms")[0])
    assert least <= shown < least + 2e-4
    check_budgets(TINY, LATENCY, [shown])


@pytest.mark.parametrize("budget_ms", [0.0, -1.0, math.nan, math.inf])
def test_a_budget_that_is_no_time_is_refused(budget_ms: float) -> None:
    with pytest.raises(ConfigError, match="a finite number of ms above 0"):
        find_front(TINY, LATENCY, Untouched(), [BUDGETS_MS[0], budget_ms])


def test_a_search_needs_a_budget_and_a_known_strategy() -> None:
    with pytest.raises(ConfigError, match="at least one latency budget"):
        find_front(TINY, LATENCY, Untouched(), [])
    with pytest.raises(UnknownNameError, match="did you mean 'evolution'"):
        find_front(TINY, LATENCY, Untouched(), BUDGETS_MS, strategy="evolutoin")


@dataclass
class Broken(Weighted):
    def predict(self, codes: Codes) -> Prediction:
        good = super().predict(codes)
        return Prediction(np.where(codes[:, 0] == 1, np.nan, good.mean), good.std)


def test_a_predictor_that_gives_no_number_is_refused() -> None:
    with pytest.raises(PredictorError, match="accuracy that is not finite"):
        find_front(TINY, LATENCY, Broken(TINY, 0), BUDGETS_MS, trials=100)


def test_latency_without_a_bound_is_refused() -> None:
    from dataclasses import replace

    with pytest.raises(PredictorError, match="no bound"):
        find_front(TINY, replace(LATENCY, scaling=None), ACCURACY, BUDGETS_MS)


def test_random_codes_are_never_below_the_smallest_bound() -> None:
    codes = sample(TINY, 5000, np.random.default_rng(3))
    assert LATENCY.upper(codes).min() >= smallest_upper_ms(LATENCY)
