import numpy as np
import pytest

from hwnas.core.errors import ConfigError, PredictorError
from hwnas.latency.samples import require_samples
from hwnas.space.family import find_space
from hwnas.space.moves import sample

SPACE = find_space("tiny-32")
CODES = np.unique(sample(SPACE, 12, np.random.default_rng(0)), axis=0)
TIMES = np.linspace(1.0, 2.0, len(CODES))


def changed(value: float) -> np.ndarray:
    times = TIMES.copy()
    times[3] = value
    return times


def test_good_samples_pass() -> None:
    assert require_samples(SPACE, CODES, list(TIMES), at_least=5, label="pi4").dtype == np.float64  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_a_time_that_is_none_is_named(value: float) -> None:
    identity = SPACE.architecture(CODES[3]).id
    with pytest.raises(PredictorError, match=rf"pi4: network 3 \({identity} of space 'tiny-32'\) measured {value} ms"):
        require_samples(SPACE, CODES, changed(value), at_least=5, label="pi4")


def test_too_few_the_same_twice_and_all_alike_are_refused() -> None:
    with pytest.raises(PredictorError, match="pi4: 1 measured networks; at least 5 are needed"):
        require_samples(SPACE, CODES[:1], TIMES[:1], at_least=5, label="pi4")
    double = np.concatenate([CODES, CODES[2:3]])
    with pytest.raises(PredictorError, match=r"pi4: network 2 \(.* is there 2 times"):
        require_samples(SPACE, double, np.append(TIMES, 9.0), at_least=5, label="pi4")
    with pytest.raises(PredictorError, match="all 12 networks measured 2 ms"):
        require_samples(SPACE, CODES, np.full(len(CODES), 2.0), at_least=5, label="pi4")
    with pytest.raises(PredictorError, match="one time a network"):
        require_samples(SPACE, CODES, TIMES[:-1], at_least=5, label="pi4")


def test_codes_of_another_space_are_refused() -> None:
    with pytest.raises(ConfigError, match="are not of it"):
        require_samples(SPACE, CODES[:, :-1], TIMES, at_least=5, label="pi4")
