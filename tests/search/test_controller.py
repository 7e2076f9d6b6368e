"""The controller's chances are chances, its gradients are slopes, and REINFORCE follows rewards and no accidents."""

import numpy as np
import pytest

from hwnas.core.errors import ConfigError
from hwnas.search.controller import Controller
from hwnas.search.reinforce import Reinforce
from hwnas.search.strategy import Outcomes, Trials, search
from hwnas.space.moves import sample
from tests.latency.tables import tiny_space
from tests.search.models import SMALL, Weighted, everything

TINY = tiny_space(16, 20)
ACCURACY = Weighted(TINY, 3)


def judge(trials: Trials) -> Outcomes:
    return Outcomes(-ACCURACY.predict(trials.codes).mean[:, None], np.zeros(len(trials)))


def made(hidden: int = 6) -> Controller:
    controller = Controller(SMALL, np.random.default_rng(0), hidden=hidden)
    for values in controller.weights.values():
        values += np.random.default_rng(values.size).normal(0, 0.3, values.shape)
    return controller


def test_its_chances_add_up_over_the_space_and_are_what_it_draws() -> None:
    controller, codes = made(), everything(SMALL)
    chances = np.exp(controller.log_chances(codes))
    assert chances.sum() == pytest.approx(1)
    drawn = controller.sample(20_000, np.random.default_rng(1))
    SMALL.check(drawn)
    known, counts = np.unique(drawn, axis=0, return_counts=True)
    share = np.zeros(len(codes))
    for code, count in zip(known, counts, strict=True):
        share[(codes == code).all(axis=1)] = count / len(drawn)
    np.testing.assert_allclose(share, chances, atol=0.012)


def test_its_gradients_are_slopes_of_its_loss() -> None:
    controller = made()
    codes, advantage = sample(SMALL, 7, np.random.default_rng(2)), np.random.default_rng(3).normal(size=7)
    gradients = controller.gradients(codes, advantage, entropy=0.0)
    for name, values in controller.weights.items():
        for at in list(np.ndindex(values.shape))[:: max(1, values.size // 12)]:
            slopes = []
            for step in (1e-5, -1e-5):
                values[at] += step
                slopes.append(-(advantage * controller.log_chances(codes)).mean() / step / 2)
                values[at] -= step
            assert gradients[name][at] == pytest.approx(sum(slopes), abs=1e-7), name


def test_the_bonus_alone_makes_the_options_equally_likely() -> None:
    controller, codes = made(), everything(SMALL)

    def spread() -> float:
        chances = np.exp(controller.log_chances(codes))
        return -float((chances * np.log(chances)).sum())

    before, rng = spread(), np.random.default_rng(0)
    for _ in range(60):
        drawn = controller.sample(64, rng)
        for name, gradient in controller.gradients(drawn, np.zeros(64), entropy=1.0).items():
            controller.weights[name] -= 0.3 * gradient
    assert spread() > before + 0.1


def test_what_it_writes_becomes_better() -> None:
    strategy = Reinforce(TINY, seed=0)
    history = search(strategy, judge, trials=1500, batch=30)
    assert history.objectives[-300:].mean() < history.objectives[:300].mean() - 3


def test_a_missed_limit_costs_a_share_of_the_accuracy() -> None:
    strategy = Reinforce(TINY, seed=0, exponent=-0.5)
    reward = strategy._reward(Outcomes(np.array([[-80.0], [-80.0], [4.0]]), np.array([0.0, 3.0, 3.0])))
    np.testing.assert_allclose(reward, [80, 40, -8])


@pytest.mark.parametrize("options", [{"hidden": 0}, {"rate": 0.0}, {"exponent": 0.1}, {"memory": 1.0}, {"entropy": -1.0}])
def test_settings_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="REINFORCE needs"):
        Reinforce(TINY, seed=0, **options)  # type: ignore[arg-type]
