"""NSGA-II: a front of several objectives, whole generations, and what is said where pymoo is not installed."""

import sys

import numpy as np
import pytest

from hwnas.core.errors import ConfigError, UsageError
from hwnas.core.predict import Floats
from hwnas.search.nsga2 import NSGA2
from hwnas.search.pareto import pareto_front
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials, search
from tests.latency.tables import tiny_space
from tests.search.models import Timed, Weighted

TINY = tiny_space(16, 20, 24)
ACCURACY, LATENCY = Weighted(TINY, 3), Timed(TINY, 4)


def both(trials: Trials) -> Outcomes:
    objectives = np.stack([-ACCURACY.predict(trials.codes).mean, LATENCY.upper(trials.codes)], axis=1)
    return Outcomes(objectives, np.zeros(len(trials)))


def volume(points: Floats) -> float:
    """Of what is dominated, two objectives, up to an accuracy of 0 and a latency of 40."""
    front = points[pareto_front(points)]
    edges = np.append(front[1:, 0], 0.0)
    return float(((edges - front[:, 0]) * (40.0 - front[:, 1])).sum())


def test_its_front_dominates_more_than_chance() -> None:
    found = {}
    for name in ("random", "nsga2"):
        found[name] = [volume(search(STRATEGIES.get(name)(TINY, seed=s), both, trials=1500, batch=100).objectives) for s in range(3)]
    assert min(found["nsga2"]) > max(found["random"])


def test_a_generation_may_be_told_in_pieces() -> None:
    whole, pieces = (search(NSGA2(TINY, seed=2, population=30), both, trials=120, batch=batch) for batch in (30, 7))
    np.testing.assert_array_equal(whole.codes, pieces.codes)


def test_what_violates_less_lives_on() -> None:
    def limited(trials: Trials) -> Outcomes:
        told = both(trials)
        return Outcomes(told.objectives, np.maximum(told.objectives[:, 1] - 12.0, 0.0))

    history = search(NSGA2(TINY, seed=0, population=40), limited, trials=800, batch=40)
    assert history.violation[-80:].mean() < 0.5 * history.violation[:40].mean()


def test_without_pymoo_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo", None)
    with pytest.raises(UsageError, match=r"needs pymoo; pip install 'hwnas\[search\]'"):
        NSGA2(TINY, seed=0)


@pytest.mark.parametrize("options", [{"population": 1}, {"rate": 0.0}, {"rate": 1.1}, {"crossover": 1.5}])
def test_settings_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="NSGA-II needs"):
        NSGA2(TINY, seed=0, **options)  # type: ignore[arg-type]
