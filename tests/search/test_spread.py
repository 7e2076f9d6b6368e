"""A search on one process and on two finds the same, and so does one without any."""

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from hwnas.core.errors import ConfigError
from hwnas.search.spread import spread
from hwnas.search.strategy import STRATEGIES, Outcomes, Trials, search
from hwnas.space.moves import encode
from tests.latency.tables import tiny_space

TINY = tiny_space(16, 20)
FIRST, SECOND = (np.random.default_rng(seed).normal(size=(size, 24)) for seed, size in ((0, int(TINY.n_options.sum())), (1, 24)))


def judge(trials: Trials) -> Outcomes:
    """A small network, whose last bits depend on how many rows are multiplied at once."""
    hidden = np.tanh(encode(TINY, trials.codes) @ FIRST)
    value = np.tanh(hidden @ SECOND).sum(axis=1)
    return Outcomes(value[:, None], np.maximum(hidden[:, 0], 0.0), np.abs(hidden[:, 1:2]))


def test_the_number_of_processes_changes_no_bit() -> None:
    found = []
    for workers in (1, 2):
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
            for name in ("evolution", "bayesian"):
                strategy = STRATEGIES.get(name)(TINY, seed=3)
                found.append((workers, name, search(strategy, spread(judge, executor, rows=16), trials=120, batch=40)))
    for name in ("evolution", "bayesian"):
        one, two = (history for _, each, history in found if each == name)
        np.testing.assert_array_equal(one.codes, two.codes)
        np.testing.assert_array_equal(one.objectives, two.objectives)
        np.testing.assert_array_equal(one.violation, two.violation)


def test_trials_come_back_in_their_order_and_whole() -> None:
    asked = STRATEGIES.get("random")(TINY, seed=0).ask(37)
    with ThreadPoolExecutor(3) as executor:
        told = spread(judge, executor, rows=5)(asked)
    apart = [judge(Trials(asked.codes[start : start + 5])) for start in range(0, 37, 5)]
    np.testing.assert_array_equal(told.objectives, np.concatenate([each.objectives for each in apart]))
    assert told.std is not None
    assert told.std.shape == (37, 1)


def test_a_part_of_nothing_is_refused() -> None:
    executor: Executor = ThreadPoolExecutor(1)
    with executor, pytest.raises(ConfigError, match="at least 1 trial at a time"):
        spread(judge, executor, rows=0)
