"""The exact solver gives what brute force gives, and refuses models that it cannot solve."""

import numpy as np
import pytest
from hypothesis import given, settings

from hwnas.core.arch import Choice, Codes, SearchSpace
from hwnas.core.errors import InfeasibleError, PredictorError
from hwnas.core.predict import Floats, Prediction
from hwnas.latency.additive import AdditiveLatency
from hwnas.search.archive import Front
from hwnas.search.exact import Exact
from hwnas.search.pareto import pareto_front
from hwnas.search.solver import Models
from hwnas.search.structure import MAX_TABLE, decompose
from hwnas.search.sums import solve_sums
from hwnas.space.moves import sample
from tests.latency.tables import make_table, tiny_space
from tests.search.models import SMALL, Timed, Weighted, everything
from tests.search.sums import Sums, instances, sums


def solve(space: SearchSpace, latency: Sums | Timed, accuracy: Sums | Weighted) -> Front:
    return Exact().solve(Models(space, latency, accuracy), [1e9])


def brute_force(space: SearchSpace, latency: Sums | Timed, accuracy: Sums | Weighted, codes: Codes) -> Floats:
    points = np.stack([latency.upper(codes), -accuracy.predict(codes).mean], axis=1)
    return points[pareto_front(points)]


def points_of(front: Front) -> Floats:
    return np.stack([front.points.upper_ms, -front.points.accuracy], axis=1)


@settings(max_examples=150, deadline=None)
@given(instance=instances())
def test_it_is_what_brute_force_finds(instance: tuple[SearchSpace, Sums, Sums]) -> None:
    space, latency, accuracy = instance
    front = solve(space, latency, accuracy)
    np.testing.assert_array_equal(points_of(front), brute_force(space, latency, accuracy, everything(space)))
    space.check(front.points.codes)
    assert front.bound == 0


def test_it_is_what_brute_force_finds_among_a_million() -> None:
    choices = tuple(Choice(f"c{i}", tuple(range(4))) for i in range(10))
    space = SearchSpace("test", "chain", (1, 1, 1), choices)
    rng = np.random.default_rng(5)
    # every group depends on the one before, and everything on the first choice
    links: list[tuple[int, ...]] = [*((i, i + 1) for i in range(9)), *((0, i) for i in range(2, 10))]
    latency, accuracy = sums(space, links, rng, largest=1000), sums(space, links, rng, largest=1000)
    codes = np.indices((4,) * 10, dtype=np.int16).reshape(10, -1).T
    assert len(codes) == space.size == 4**10 > 1e6
    truth = brute_force(space, latency, accuracy, codes)
    assert len(truth) > 10
    np.testing.assert_array_equal(points_of(Exact().solve(Models(space, Known(latency), accuracy), [1e9])), truth)


class Known:
    """A latency whose minimum was not asked for by listing everything."""

    label = "bench/onnxruntime"

    def __init__(self, model: Sums) -> None:
        self.predict = model.predict
        self.upper = model.upper
        self._space = model.space

    def minimum(self) -> Codes:
        return np.zeros((1, len(self._space.choices)), dtype=np.int16)


def test_real_block_sums_are_solved() -> None:
    space = tiny_space(16, 24, 32)
    latency = AdditiveLatency.from_table(make_table(space), space)
    accuracy = Weighted(space, 3)
    front = Exact().solve(Models(space, latency, accuracy), [1e3])
    assert front.bound is not None
    assert front.bound < 1e-12
    rng = np.random.default_rng(0)
    codes = sample(space, 20_000, rng)
    upper, mean = latency.upper(codes), accuracy.predict(codes).mean
    best = np.array([front.best(float(ms)).accuracy[0] for ms in upper[:500]])
    assert (best >= mean[:500] - 1e-12).all()
    # nothing that was drawn is above the front
    position = np.searchsorted(front.points.upper_ms, upper * (1 + 1e-12), side="right") - 1
    assert (front.points.accuracy[position] >= mean - 1e-12).all()


def test_the_sums_are_the_model() -> None:
    latency, accuracy = Timed(SMALL, 1), Weighted(SMALL, 2)

    def both(codes: Codes) -> Floats:
        return np.stack([latency.upper(codes), -accuracy.predict(codes).mean], axis=1)

    found = decompose(SMALL, both)
    np.testing.assert_allclose(found.values(everything(SMALL)), both(everything(SMALL)), atol=1e-12)
    codes, values = solve_sums(found)
    np.testing.assert_allclose(both(codes), values, atol=1e-12)


def test_a_budget_that_nothing_fits_is_refused_before_anything_is_solved() -> None:
    with pytest.raises(InfeasibleError, match="the quickest needs"):
        Exact().solve(Models(SMALL, Timed(SMALL, 0), Weighted(SMALL, 0)), [1e-3])


WIDE = SearchSpace("test", "wide", (1, 1, 1), tuple(Choice(f"c{i}", tuple(range(6))) for i in range(9)))


class Entangled(Weighted):
    """Every choice interacts with every other."""

    def predict(self, codes: Codes) -> Prediction:
        plain = super().predict(codes)
        return Prediction(plain.mean**2, plain.std)


def test_a_model_that_is_no_sum_is_refused() -> None:
    assert WIDE.size > MAX_TABLE
    with pytest.raises(PredictorError, match="interacts with 8 others; no exact search is possible"):
        Exact().solve(Models(WIDE, Known(sums(WIDE, [], np.random.default_rng(0), largest=9)), Entangled(WIDE, 0)), [1e9])


class Bumped(Weighted):
    """A sum, but for the one architecture that matters."""

    def predict(self, codes: Codes) -> Prediction:
        plain = super().predict(codes)
        return Prediction(plain.mean - (codes == 5).all(axis=1), plain.std)


def test_a_model_that_is_off_its_sums_on_the_front_is_refused() -> None:
    with pytest.raises(PredictorError, match="the models are off their sums by 1 on the front"):
        Exact().solve(Models(WIDE, Known(sums(WIDE, [], np.random.default_rng(0), largest=9)), Bumped(WIDE, 0)), [1e9])
