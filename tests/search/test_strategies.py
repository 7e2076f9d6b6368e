"""The contract that every registered strategy keeps. A new strategy is tested here without a new test."""

import numpy as np
import pytest

from hwnas.core.arch import Choice, Codes, SearchSpace
from hwnas.core.errors import ConfigError, PredictorError, UnknownNameError
from hwnas.search.strategy import STRATEGIES, TRAINED, History, Outcomes, Strategy, StrategyFactory, Trials, search
from hwnas.space.family import SpaceOptions, find_space
from hwnas.space.moves import sample
from tests.search.models import SMALL, Weighted, everything

TINY = find_space("tiny-32", SpaceOptions(resolutions=(20, 24)))
ACCURACY, LATENCY = Weighted(TINY, 1), Weighted(TINY, 2)
LIMIT = float(np.median(LATENCY.predict(sample(TINY, 1000, np.random.default_rng(0))).mean))


def judge(trials: Trials) -> Outcomes:
    latency = LATENCY.predict(trials.codes).mean
    return Outcomes(-ACCURACY.predict(trials.codes).mean[:, None], np.maximum(latency / LIMIT - 1, 0.0))


def judge_small(trials: Trials) -> Outcomes:
    return Outcomes(-Weighted(SMALL, 1).predict(trials.codes).mean[:, None], np.zeros(len(trials)))


@pytest.fixture(params=(*STRATEGIES.names(), *TRAINED.names()))
def make(request: pytest.FixtureRequest) -> StrategyFactory:
    return (STRATEGIES if request.param in STRATEGIES else TRAINED).get(request.param)


def enough(make: StrategyFactory, trials: int) -> int:
    """As many evaluations as ``trials``, about: one in full costs as much as many in part."""
    return trials if make in [STRATEGIES.get(name) for name in STRATEGIES] else trials // 8


def once(history: History) -> bool:
    """Whether nothing was evaluated twice as long."""
    return len(np.unique(np.column_stack([history.codes, history.fidelity]), axis=0)) == len(history)


def test_the_strategies_of_the_field_are_here() -> None:
    assert {"random", "local", "evolution", "once_for_all", "nsga2", "reinforce", "bayesian", "predictor_guided", "progressive"} <= set(
        STRATEGIES
    )
    assert "successive_halving" in TRAINED


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_only_strategies_for_training_ask_for_less_than_all(name: str) -> None:
    assert (search(STRATEGIES.get(name)(SMALL, seed=0), judge_small, trials=60, batch=7).fidelity == 1).all()


def test_an_unknown_strategy_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="unknown strategy 'evoluton'; did you mean 'evolution'"):
        STRATEGIES.get("evoluton")


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_it_asks_at_most_what_it_may_with_canonical_codes(make: StrategyFactory, n: int) -> None:
    strategy = make(TINY, seed=0)
    for _ in range(4):
        trials = strategy.ask(n)
        assert 1 <= len(trials) <= n
        assert trials.codes.dtype == np.int16
        assert 0 < trials.fidelity <= 1
        TINY.check(trials.codes)
        strategy.tell(trials, judge(trials))


def test_the_same_seed_gives_the_same_search(make: StrategyFactory) -> None:
    first, again, other = (search(make(TINY, seed=seed), judge, trials=enough(make, 320), batch=64) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.codes, again.codes)
    np.testing.assert_array_equal(first.objectives, again.objectives)
    assert not np.array_equal(first.codes, other.codes)


def test_a_search_can_be_resumed_by_replay(make: StrategyFactory) -> None:
    told: list[tuple[Trials, Outcomes]] = []

    def noted(trials: Trials) -> Outcomes:
        told.append((trials, judge(trials)))
        return told[-1][1]

    trials = enough(make, 640)
    whole = search(make(TINY, seed=3), noted, trials=trials, batch=64)
    resumed, spent = make(TINY, seed=3), 0.0
    first = told[: len(told) // 2]
    for known, outcomes in first:
        np.testing.assert_array_equal(resumed.ask(64).codes, known.codes)
        resumed.tell(known, outcomes)
        spent += len(known) * known.fidelity
    rest = search(resumed, judge, trials=trials - int(np.ceil(spent - 1e-6)), batch=64)
    codes = np.concatenate([*(known.codes for known, _ in first), rest.codes])
    # less than one full evaluation may be left of each part
    assert len(whole) - len(codes) <= 2 / whole.fidelity.min() - 2
    np.testing.assert_array_equal(whole.codes[: len(codes)], codes)


def test_initial_codes_come_first_and_once(make: StrategyFactory) -> None:
    initial = sample(TINY, 5, np.random.default_rng(9))
    history = search(make(TINY, seed=0, initial=np.concatenate([initial, initial[:2]])), judge, trials=50, batch=3)
    np.testing.assert_array_equal(history.codes[:5], initial)


def test_nothing_is_proposed_twice(make: StrategyFactory) -> None:
    trials = enough(make, 2000)
    history = search(make(TINY, seed=1), judge, trials=trials, batch=100)
    assert once(history)
    assert trials - 1 < history.fidelity.sum() < trials + 1e-6


def test_it_ends_when_a_small_space_is_known(make: StrategyFactory) -> None:
    history = search(make(SMALL, seed=0), judge_small, trials=10_000, batch=16)
    assert once(history)
    assert 0.8 * SMALL.size < len(np.unique(history.codes, axis=0)) <= SMALL.size == 117


def test_a_space_of_one_architecture_is_searched(make: StrategyFactory) -> None:
    one = SearchSpace("test", "one", (1, 1, 1), (Choice("only", (1,)),))
    history = search(make(one, seed=0), lambda t: Outcomes(np.zeros((len(t), 1)), np.zeros(len(t))), trials=10, batch=4)
    assert set(map(tuple, history.codes.tolist())) == {(0,)}
    assert once(history)


def test_what_is_best_is_feasible_when_anything_is(make: StrategyFactory) -> None:
    history = search(make(TINY, seed=2), judge, trials=enough(make, 1000), batch=50)
    best = history.best()
    feasible = (history.violation == 0) & (history.fidelity == 1)
    assert feasible[best]
    assert history.objectives[best, 0] == history.objectives[feasible, 0].min()


def test_evolution_finds_better_than_random() -> None:
    found = {}
    for name in ("random", "evolution"):
        runs = [search(STRATEGIES.get(name)(TINY, seed=s), judge, trials=3000, batch=100) for s in range(3)]
        found[name] = [run.objectives[run.best(), 0] for run in runs]
    assert max(found["evolution"]) < min(found["random"])


def test_evolution_under_a_limit_that_nothing_fits_still_nears_it() -> None:
    def hopeless(trials: Trials) -> Outcomes:
        return Outcomes(-ACCURACY.predict(trials.codes).mean[:, None], LATENCY.predict(trials.codes).mean)

    history = search(STRATEGIES.get("evolution")(TINY, seed=0), hopeless, trials=4000, batch=100)
    assert history.violation[-500:].mean() < history.violation[:256].mean() - 0.5


@pytest.mark.parametrize(
    "options",
    [{"population": 0}, {"tournament": 0}, {"population": 8, "tournament": 9}, {"rate": 0.0}, {"rate": 1.5}, {"crossover": -0.1}],
)
def test_evolution_refuses_settings_that_cannot_be(options: dict[str, float]) -> None:
    from hwnas.search.evolution import RegularizedEvolution

    with pytest.raises(ConfigError):
        RegularizedEvolution(TINY, seed=0, **options)  # type: ignore[arg-type]


# ---- the loop


class Stubborn(Strategy):
    """Proposes one architecture, however many are asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.told = 0

    def ask(self, n: int) -> Trials:
        return Trials(np.repeat(everything(SMALL)[:1], self.size, axis=0))

    def tell(self, trials: Trials, outcomes: Outcomes) -> None:
        self.told += len(trials)


def test_the_loop_is_bounded_by_its_trials() -> None:
    strategy = Stubborn(1)
    assert len(search(strategy, judge_small, trials=7, batch=3)) == 7
    assert strategy.told == 7


def test_a_strategy_that_is_done_ends_the_loop() -> None:
    history = search(Stubborn(0), judge_small, trials=7, batch=3)
    assert len(history) == 0
    with pytest.raises(ConfigError, match="nothing was evaluated"):
        history.best()


def test_a_strategy_that_asks_for_more_than_it_may_is_an_error() -> None:
    with pytest.raises(ValueError, match="proposed 4 trials where 3 were asked for"):
        search(Stubborn(4), judge_small, trials=7, batch=3)


@pytest.mark.parametrize(("trials", "batch"), [(0, 1), (1, 0), (-5, 1)])
def test_a_search_of_nothing_is_refused(trials: int, batch: int) -> None:
    with pytest.raises(ConfigError, match="at least 1 trial"):
        search(Stubborn(1), judge_small, trials=trials, batch=batch)


def test_the_best_of_nothing_feasible_misses_least() -> None:
    history = History(everything(SMALL)[:3], np.array([[0.0], [1.0], [2.0]]), np.array([0.5, 0.2, 0.2]), np.ones(3))
    assert history.best() == 1


def test_what_was_evaluated_in_part_is_not_best() -> None:
    history = History(everything(SMALL)[:3], np.array([[0.0], [1.0], [2.0]]), np.zeros(3), np.array([0.1, 1.0, 1.0]))
    assert history.best() == 1


def test_trials_in_part_spend_a_part() -> None:
    class Half(Stubborn):
        def ask(self, n: int) -> Trials:
            return Trials(super().ask(n).codes, 0.5)

    assert len(search(Half(1), judge_small, trials=7, batch=3)) == 13
    with pytest.raises(ValueError, match="a fidelity is 1 / 1000 to 1, not 0"):
        Trials(everything(SMALL)[:1], 0.0)


@pytest.mark.parametrize(("objective", "violation"), [(np.nan, 0.0), (np.inf, 0.0), (0.0, np.nan), (0.0, -0.1)])
def test_outcomes_that_cannot_be_ranked_are_refused(objective: float, violation: float) -> None:
    with pytest.raises(PredictorError, match="trial 1 was evaluated to"):
        Outcomes(np.array([[0.0], [objective]]), np.array([0.0, violation]))


def test_outcomes_of_the_wrong_shape_are_an_error() -> None:
    for objectives, violation in ((np.zeros(3), np.zeros(3)), (np.zeros((3, 1)), np.zeros(2))):
        with pytest.raises(ValueError, match="needed, not"):
            Outcomes(objectives, violation)


def test_seen_gives_up_after_its_tries() -> None:
    from hwnas.search.novel import Seen

    calls = []
    codes = everything(SMALL)[:3]

    def propose(n: int) -> Codes:
        calls.append(n)
        return codes[:n]

    seen = Seen()
    np.testing.assert_array_equal(seen.gather(5, propose, tries=4), codes)
    assert calls == [0, 5, 2, 2, 2]
    assert len(seen) == 3
