"""What is special about candidates that are trained: curves are continued, and few are trained to the end."""

import numpy as np
import pytest

from hwnas.core.errors import ConfigError
from hwnas.search.curves import extrapolated
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials, search
from hwnas.search.successive_halving import SuccessiveHalving
from tests.latency.tables import tiny_space
from tests.search.models import Weighted

TINY = tiny_space(16, 20)
FINAL, SPEED = Weighted(TINY, 3), Weighted(TINY, 8)


def trained(trials: Trials) -> Outcomes:
    """Curves that rise towards their end, some more slowly than others."""
    pace = 1 + SPEED.predict(trials.codes).mean / 5
    reached = FINAL.predict(trials.codes).mean * (1 - 0.5 * (1 - trials.fidelity) / pace)
    return Outcomes(-reached[:, None], np.zeros(len(trials)))


def test_curves_are_continued_where_others_went() -> None:
    rng = np.random.default_rng(0)
    start, slope = rng.normal(size=60), rng.normal(size=60)
    curves = start[:, None] + slope[:, None] * np.arange(4)
    seen = curves.copy()
    seen[40:, 2:] = np.nan
    mean, std = extrapolated(seen[:40], np.zeros((40, 0)), seen[40:, :2], np.zeros((20, 0)))
    assert np.corrcoef(mean, curves[40:, 3])[0, 1] > 0.99
    assert (np.abs(mean - curves[40:, 3]) < 4 * std + 0.2).all()
    assert np.corrcoef(seen[40:, 1], curves[40:, 3])[0, 1] < 0.97


def test_a_step_that_hardly_any_took_is_not_guessed() -> None:
    curves = np.full((20, 3), np.nan)
    curves[:, 0], curves[:5, 1] = np.arange(20), 1.0
    mean, std = extrapolated(curves, np.zeros((20, 0)), curves[:, :1], np.zeros((20, 0)))
    np.testing.assert_array_equal(mean, np.arange(20))
    assert np.isinf(std).all()


def test_a_bracket_halves() -> None:
    history = search(SuccessiveHalving(TINY, seed=0, rungs=3, factor=3), trained, trials=3, batch=100)
    assert history.fidelity[:13].tolist() == pytest.approx([1 / 9] * 9 + [1 / 3] * 3 + [1.0])
    first, second = history.codes[:9], history.codes[9:12]
    best = first[np.argsort(history.objectives[:9, 0])[:3]]
    np.testing.assert_array_equal(np.unique(best, axis=0), np.unique(second, axis=0))


def test_it_finds_more_with_as_much_training_than_chance() -> None:
    found = {}
    for name, make in (("random", STRATEGIES.get("random")), ("halving", SuccessiveHalving)):
        runs = [search(make(TINY, seed=s), trained, trials=60, batch=9) for s in range(5)]
        found[name] = [run.objectives[run.best(), 0] for run in runs]
    assert np.mean(found["halving"]) < np.mean(found["random"]) - 0.3


def test_what_is_hopeless_is_not_trained_on() -> None:
    def ends(hopeless: float) -> int:
        return int((search(SuccessiveHalving(TINY, seed=1, hopeless=hopeless), trained, trials=80, batch=27).fidelity == 1).sum())

    assert ends(0.5) < ends(0.0)


@pytest.mark.parametrize("options", [{"rungs": 0}, {"factor": 1}, {"rungs": 9}, {"hopeless": 1.0}])
def test_settings_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="successive halving needs"):
        SuccessiveHalving(TINY, seed=0, **options)  # type: ignore[arg-type]
