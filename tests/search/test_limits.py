"""Limits beside the budget: every solver and strategy keeps them, feasibility is what brute force says, and exact bounds hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, InfeasibleError
from hwnas.core.predict import Floats
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.footprint import Footprint
from hwnas.pipeline.limits import resource_of
from hwnas.search.exact import Exact
from hwnas.search.feasible import begun, within_limits
from hwnas.search.front import find_front
from hwnas.search.least import least, lowest
from hwnas.search.limits import Largest, Limit, Resource, amount, ratio
from hwnas.search.preflight import preflight
from hwnas.search.solver import SOLVERS, Models
from hwnas.search.strategy import STRATEGIES
from hwnas.search.worst import WorstLatency
from tests.latency.tables import make_table, tiny_space
from tests.search.models import SMALL, Timed, Weighted, everything
from tests.search.sums import Sums, instances, sums


def summed(model: Sums | Weighted, name: str = "params") -> Resource:
    return Resource(name, "", lambda codes: model.predict(codes).mean)


def largest_of(space: SearchSpace, rng: np.random.Generator) -> Resource:
    """The largest of a value that each active option has."""
    values = [rng.integers(1, 9, len(c.options)).astype(float) for c in space.choices]

    def parts(codes: Codes) -> Floats:
        active = space.active(codes)
        return np.stack([np.where(active[:, i], own[codes[:, i]], 0.0) for i, own in enumerate(values)], axis=1)

    levels = np.unique(np.concatenate(values))
    return Resource(
        "peak_memory", "B", lambda c: parts(c).max(axis=1), Largest(levels, lambda c, level: (parts(c) > level).sum(axis=1).astype(float))
    )


@st.composite
def limited(draw: st.DrawFn) -> tuple[Models, float]:
    """Small models with one or two limits, and a budget; they need not be feasible."""
    space, latency, accuracy = draw(instances())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    resources = [summed(sums(space, [], rng, largest=50)), largest_of(space, rng), summed(sums(space, [], rng, largest=9), "macs")]
    chosen = draw(st.lists(st.sampled_from(range(3)), min_size=1, max_size=2, unique=True))
    codes = everything(space)
    limits = []
    for i in chosen:
        cost = resources[i].cost(codes)
        limits.append(Limit(resources[i], float(np.quantile(cost, draw(st.floats(0, 1))) - draw(st.sampled_from([0.0, 0.5])))))
    upper = latency.upper(codes)
    return Models(space, latency, accuracy, tuple(limits)), float(np.quantile(upper, draw(st.floats(0, 1))))


@settings(max_examples=50, deadline=None)
@given(case=limited())
def test_exact_search_under_limits_is_bounded_by_what_brute_force_finds(case: tuple[Models, float]) -> None:
    models, budget_ms = case
    codes = everything(models.space)
    fits = (models.latency.upper(codes) <= budget_ms) & (ratio(models.limits, codes) <= 1)
    if not fits.any():
        with pytest.raises(InfeasibleError) as caught:
            Exact().solve(models, [budget_ms])
        assert "\n" not in str(caught.value)
        return
    front = Exact().solve(models, [budget_ms])
    best = front.best(budget_ms)
    truth = models.accuracy.predict(codes).mean[fits].max()
    assert (ratio(models.limits, best.codes) <= 1).all()
    assert front.bound is not None
    assert best.accuracy[0] <= truth <= best.accuracy[0] + front.bound + 1e-9
    if all(limit.hard for limit in models.limits):
        assert best.accuracy[0] == truth
    assert front.points.kept.all()


@settings(max_examples=30, deadline=None)
@given(case=limited())
def test_the_quickest_within_limits_is_what_brute_force_finds(case: tuple[Models, float]) -> None:
    models, _ = case
    codes = everything(models.space)
    kept = ratio(models.limits, codes) <= 1
    found = least(models.space, models.latency.upper, models.limits)
    if not kept.any():
        assert found is None
        return
    truth = models.latency.upper(codes)[kept].min()
    assert found is not None
    assert (ratio(models.limits, found.codes) <= 1).all()
    if found.exact:
        assert found.cost == truth
    assert found.cost >= truth
    for limit in models.limits:
        low, exact = lowest(models.space, limit.resource)
        assert exact
        assert low == limit.resource.cost(codes).min()


TINY = tiny_space(20, 24)
LATENCY = AdditiveLatency.from_table(make_table(TINY), TINY)
ACCURACY = Weighted(TINY, 1)
FOOTPRINT = Footprint(TINY)
BUDGETS_MS = [share * LATENCY.largest_ms() for share in (0.7, 0.95)]
CODES = np.unique(np.random.default_rng(0).integers(0, TINY.n_options, (6000, len(TINY.choices)), dtype=np.int16), axis=0)


def tiny_limits(**quantiles: float) -> tuple[Limit, ...]:
    codes = TINY.canonical(CODES)
    return tuple(Limit(resource_of(FOOTPRINT, name), float(np.quantile(FOOTPRINT.cost(name, codes), q))) for name, q in quantiles.items())


@pytest.mark.parametrize("strategy", sorted({*STRATEGIES, *SOLVERS} - {"bayesian"}))
@pytest.mark.parametrize("quantiles", [{"params": 0.3}, {"macs": 0.4, "peak_memory": 0.5}], ids=["one", "two"])
def test_every_strategy_keeps_limits(strategy: str, quantiles: dict[str, float]) -> None:
    limits = tiny_limits(**quantiles)
    front = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, strategy=strategy, trials=150, batch=50, seed=3, limits=limits)
    for budget_ms in BUDGETS_MS:
        best = front.best(budget_ms)
        assert best.upper_ms[0] <= budget_ms
        assert all(limit.resource.cost(best.codes)[0] <= limit.at_most for limit in limits)
    assert front.points.kept.all()
    # they bind: without them the best needs more
    free = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, strategy="exact")
    assert any(limit.resource.cost(free.best(BUDGETS_MS[-1]).codes)[0] > limit.at_most for limit in limits)


def test_exact_and_linearised_agree_under_limits() -> None:
    limits = tiny_limits(params=0.4, macs=0.5, peak_memory=0.6)
    exact = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, strategy="exact", limits=limits)
    found = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, strategy="linearised", trials=4000, seed=1, limits=limits)
    assert exact.bound is not None
    for budget_ms in BUDGETS_MS:
        assert found.best(budget_ms).accuracy[0] <= exact.best(budget_ms).accuracy[0] + exact.bound + 1e-9
        assert found.best(budget_ms).accuracy[0] >= exact.best(budget_ms).accuracy[0] - 0.1
    assert exact.bound < 0.03 * exact.best(BUDGETS_MS[0]).accuracy[0]


def test_what_nothing_keeps_is_answered_with_the_smallest_value_that_can_be_kept() -> None:
    params = resource_of(FOOTPRINT, "params")
    low, exact = lowest(TINY, params)
    assert exact
    models = Models(TINY, LATENCY, ACCURACY, (Limit(params, low - 1),))
    with pytest.raises(InfeasibleError, match="the smallest needs") as caught:
        begun(models, BUDGETS_MS)
    assert caught.value.exit_code == 6
    assert len(begun(Models(TINY, LATENCY, ACCURACY, (Limit(params, low),)), [1e3])) == 1


def test_a_budget_that_only_the_limits_make_infeasible_is_answered_with_one_that_is_not() -> None:
    # the device whose latency is limited likes other blocks: what is quick on one is not on the other
    other = AdditiveLatency.from_table(make_table(TINY, seed=9, device="other"), TINY)
    limits = (Limit(Resource("other/onnxruntime", "ms", other.upper), float(other.upper(other.minimum())[0]) * 1.02),)
    models = Models(TINY, LATENCY, ACCURACY, limits)
    with pytest.raises(InfeasibleError, match=r"keeps other/onnxruntime of at most .* fits") as caught:
        begun(models, [float(LATENCY.upper(LATENCY.minimum())[0])])
    shown = float(str(caught.value).split("the quickest needs ")[1].split(" ms")[0])
    (code,) = within_limits(models, shown)
    assert LATENCY.upper(code[None])[0] <= shown
    with pytest.raises(InfeasibleError):
        within_limits(models, shown - 2e-4)


def test_preflight_says_what_brute_force_says() -> None:
    latency, accuracy = Timed(SMALL, 3), Weighted(SMALL, 4)
    codes = everything(SMALL)
    rng = np.random.default_rng(5)
    limits = (Limit(summed(Weighted(SMALL, 6)), 2.0), Limit(largest_of(SMALL, rng), 7.0))
    upper = latency.upper(codes)
    budgets = [float(np.quantile(upper, 0.4)), float(upper.max())]
    found = preflight(Models(SMALL, latency, accuracy, limits), budgets)
    assert [row.name for row in found.rows] == [latency.label, latency.label, "params", "peak_memory"]
    for row, cost in zip(found.rows, [upper, upper, *(limit.resource.cost(codes) for limit in limits)], strict=True):
        assert row.exact
        np.testing.assert_allclose((row.minimum, row.maximum), (cost.min(), cost.max()))
        assert row.minimum <= row.median <= row.maximum
        assert 0 < row.share <= 1
    assert found.rows[1].share == 1
    assert 0 < found.together[0] <= found.together[1] <= min(row.share for row in found.rows[2:])


def test_the_worst_of_two_devices_is_their_maximum_and_its_least_is_found() -> None:
    other = AdditiveLatency.from_table(make_table(TINY, seed=4, scale=1.1, device="other"), TINY)
    worst = WorstLatency(TINY, (LATENCY, other), (1.0, 0.9))
    codes = TINY.canonical(CODES)
    both = np.stack([LATENCY.upper(codes), 0.9 * other.upper(codes)])
    np.testing.assert_array_equal(worst.upper(codes), both.max(axis=0))
    np.testing.assert_array_equal(worst.worst(codes), both.argmax(axis=0))
    mean = np.where(both.argmax(axis=0) == 0, LATENCY.predict(codes).mean, 0.9 * other.predict(codes).mean)
    np.testing.assert_allclose(worst.predict(codes).mean, mean)
    assert worst.upper(worst.minimum())[0] <= worst.upper(codes).min()
    front = find_front(TINY, worst, ACCURACY, [float(np.median(worst.upper(codes)))], trials=400, strategy="linearised")
    assert (front.points.upper_ms >= LATENCY.upper(front.points.codes)).all()
    assert worst.label == "bench/onnxruntime and other/onnxruntime"
    with pytest.raises(ConfigError, match="a factor for each"):
        WorstLatency(TINY, (LATENCY,), ())


def test_what_is_known_is_where_a_search_begins() -> None:
    best = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, strategy="exact").points.codes
    for strategy in ("random", "evolution", *SOLVERS):
        warm = find_front(TINY, LATENCY, ACCURACY, BUDGETS_MS, strategy=strategy, trials=50, batch=10, known=best)
        for budget_ms in BUDGETS_MS:
            own = best[LATENCY.upper(best) <= budget_ms]
            assert warm.best(budget_ms).accuracy[0] >= ACCURACY.predict(own).mean.max() - 1e-12


@pytest.mark.parametrize("at_most", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(at_most: float) -> None:
    with pytest.raises(ConfigError, match="the limit of params must be a finite number above 0"):
        Limit(summed(Weighted(SMALL, 0)), at_most)


def test_amounts_read_well_and_never_too_low() -> None:
    shown = {amount(v, u) for v, u in ((3.21e6, ""), (999.5, "B"), (262_144, "B"), (2.50001, "ms"), (7, ""))}
    assert shown == {"3.21 M", "1000 B", "262.144 kB", "2.5001 ms", "7"}
