"""The contract of every registered latency predictor, and what is special about each."""

from pathlib import Path

import numpy as np
import pytest

from hwnas.core.artifacts import StoredPredictor, load_predictor, save_predictor
from hwnas.core.errors import ConfigError, PredictorError, UnknownNameError
from hwnas.core.predict import Predictor
from hwnas.latency.additive import AdditiveLatency
from hwnas.latency.agreement import agreement
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.descriptors import describe
from hwnas.latency.predictors import PREDICTORS, Known
from hwnas.latency.transfer import DevicePrior, Source
from hwnas.space.family import find_space
from hwnas.space.moves import sample
from tests.latency.tables import make_table, tiny_space

SPACE = tiny_space(16, 24)
TABLE = make_table(SPACE, networks=0)
ADDITIVE = AdditiveLatency.from_table(TABLE, SPACE)
RNG = np.random.default_rng(0)
CODES = np.unique(sample(SPACE, 160, RNG), axis=0)
TRUTH = ADDITIVE.sums_ms(CODES) * 0.9 + 0.01
MEASURED = TRUTH * RNG.lognormal(0.0, 0.01, len(TRUTH))
TRAIN, TEST = np.arange(60), np.arange(60, len(CODES))


def other(seed: int) -> Source:
    times = AdditiveLatency.from_table(make_table(SPACE, seed=seed, networks=0), SPACE).sums_ms(CODES)
    return Source(f"other{seed}", f"other{seed}/onnxruntime", CODES, times)


OTHERS = [other(seed) for seed in range(4)]
KNOWN = Known(SPACE, TABLE.context, ADDITIVE, DevicePrior.learn(SPACE, OTHERS))


@pytest.fixture(scope="module", params=PREDICTORS.names())
def fitted(request: pytest.FixtureRequest) -> tuple[str, Predictor]:
    if request.param in ("trees", "gaussian"):
        pytest.importorskip("sklearn", reason="scikit-learn (extra 'train') is not installed")
    return request.param, PREDICTORS.get(request.param).make(KNOWN).fit(CODES[TRAIN], MEASURED[TRAIN])


def test_it_learns(fitted: tuple[str, Predictor]) -> None:
    found = fitted[1].predict(CODES[TEST])
    assert found.mean.shape == found.std.shape == (len(TEST),)
    assert (found.mean > 0).all()
    assert (found.std > 0).all()
    score = agreement(found.mean, MEASURED[TEST])
    # these block times follow no rule, which only predictors that know of blocks can learn from 60 networks
    blockwise = fitted[0] in ("additive", "calibrated")
    assert score.spearman > (0.95 if blockwise else 0.6)
    assert score.mape < (0.03 if blockwise else 0.15)


def test_its_standard_deviation_is_about_right(fitted: tuple[str, Predictor]) -> None:
    found = fitted[1].predict(CODES[TEST])
    assert 0.3 < np.sqrt(np.mean(((MEASURED[TEST] - found.mean) / found.std) ** 2)) < 2


def test_one_at_a_time_is_as_all_at_once(fitted: tuple[str, Predictor]) -> None:
    together = fitted[1].predict(CODES[TEST[:5]])
    for row, mean in zip(TEST[:5], together.mean, strict=True):
        assert fitted[1].predict(CODES[row : row + 1]).mean[0] == pytest.approx(mean, rel=1e-12)


def test_the_same_samples_give_the_same_bytes(fitted: tuple[str, Predictor], tmp_path: Path) -> None:
    name, predictor = fitted
    again = PREDICTORS.get(name).make(KNOWN).fit(CODES[TRAIN], MEASURED[TRAIN])
    for file, each in (("a.json", predictor), ("b.json", again)):
        save_predictor(tmp_path / file, PREDICTORS.get(name).stored, *each.state())
    for suffix in ("json", "npz"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_stored_one_predicts_the_same(fitted: tuple[str, Predictor], tmp_path: Path) -> None:
    name, predictor = fitted
    kind = PREDICTORS.get(name)
    save_predictor(tmp_path / "p.json", kind.stored, *predictor.state())
    again = kind.restore(SPACE, load_predictor(tmp_path / "p.json")).predict(CODES)
    np.testing.assert_allclose(again.mean, predictor.predict(CODES).mean, rtol=1e-13)
    np.testing.assert_allclose(again.std, predictor.predict(CODES).std, rtol=1e-13)
    with pytest.raises(PredictorError, match="the predictor is of space"):
        kind.restore(tiny_space(16), load_predictor(tmp_path / "p.json"))
    with pytest.raises(PredictorError, match="a predictor of kind 'accuracy-ridge', not"):
        kind.restore(SPACE, StoredPredictor("accuracy-ridge", {}, {}, "p.json"))


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
@pytest.mark.parametrize("name", PREDICTORS.names())
def test_a_time_that_is_none_is_refused(name: str, value: float) -> None:
    times = MEASURED[TRAIN].copy()
    times[7] = value
    with pytest.raises(PredictorError, match="network 7"):
        PREDICTORS.get(name).make(KNOWN).fit(CODES[TRAIN], times)


@pytest.mark.parametrize("name", PREDICTORS.names())
def test_one_sample_a_double_and_a_constant_are_refused(name: str) -> None:
    predictor = PREDICTORS.get(name).make(KNOWN)
    with pytest.raises(PredictorError, match="1 measured networks; at least"):
        predictor.fit(CODES[:1], MEASURED[:1])
    with pytest.raises(PredictorError, match="is there 2 times"):
        predictor.fit(np.concatenate([CODES[TRAIN], CODES[:1]]), np.append(MEASURED[TRAIN], 1.0))
    with pytest.raises(PredictorError, match="there is nothing to learn from"):
        predictor.fit(CODES[TRAIN], np.ones(len(TRAIN)))
    with pytest.raises(ConfigError, match="are not of it"):
        predictor.fit(CODES[TRAIN, 1:], MEASURED[TRAIN])


def test_a_prediction_for_another_space_is_refused(fitted: tuple[str, Predictor]) -> None:
    foreign = sample(find_space("nas-bench-201"), 3, np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"codes of shape \(3, 6\) are not of it"):
        fitted[1].predict(foreign)
    for wrong in (-1, 99):
        codes = CODES[:3].copy()
        codes[1, 0] = wrong
        with pytest.raises(ConfigError, match="codes are outside space 'tiny-32'"):
            fitted[1].predict(codes)


def test_unknown_kinds_get_a_suggestion_and_needs_are_told() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'calibrated'"):
        PREDICTORS.get("calibratd")
    with pytest.raises(PredictorError, match="needs a table of blocks"):
        PREDICTORS.get("additive").make(Known(SPACE, TABLE.context))


def test_calibrated_corrects_what_a_plain_table_misses() -> None:
    """Blocks of one width cost twice what they do alone: no scale of the sum repairs that, whole networks do."""
    wrong = ADDITIVE.times_ms.copy()
    from hwnas.space.family import blockwise

    words = blockwise(SPACE).vocabulary(SPACE)
    wrong[[dict(word.params).get("out") == 32 for word in words]] *= 2
    truth = AdditiveLatency(SPACE, TABLE.context, "p50", "p50", 0.01, wrong).sums_ms(CODES) + 0.01
    plain = ADDITIVE.fit(CODES[TRAIN], truth[TRAIN]).predict(CODES[TEST]).mean
    calibrated = CalibratedLatency.from_additive(ADDITIVE)
    chosen = calibrated.choose(CODES[TRAIN], 40)
    better = calibrated.fit(CODES[chosen], truth[chosen]).predict(CODES[TEST]).mean
    assert agreement(plain, truth[TEST]).within_5 < 0.9
    assert agreement(better, truth[TEST]).within_5 == 1.0


def test_calibrated_learns_the_table_from_whole_networks_alone() -> None:
    alone = CalibratedLatency(SPACE, TABLE.context).fit(CODES[:100], TRUTH[:100]).predict(CODES[100:]).mean
    assert agreement(alone, TRUTH[100:]).within_10 > 0.9


def test_chosen_networks_are_distinct_and_teach_more_than_drawn_ones() -> None:
    calibrated = CalibratedLatency(SPACE, TABLE.context)
    chosen = calibrated.choose(CODES, 30)
    assert len(set(chosen.tolist())) == 30
    with pytest.raises(PredictorError, match="200 networks to measure were asked for"):
        calibrated.choose(CODES[:10], 200)

    def left(rows: np.ndarray) -> float:
        return agreement(calibrated.fit(CODES[rows], TRUTH[rows]).predict(CODES).mean, TRUTH).mape

    drawn = [left(np.random.default_rng(seed).choice(len(CODES), 30, replace=False)) for seed in range(6)]
    assert left(chosen) < np.median(drawn)


def test_cells_that_are_isomorphic_are_described_alike() -> None:
    cells = find_space("nas-bench-201")
    one = np.array([[3, 1, 0, 2, 4, 1]], dtype=np.int16)
    other = one[:, [1, 0, 2, 3, 5, 4]]
    np.testing.assert_array_equal(describe(cells, one), describe(cells, other))
    assert not np.array_equal(describe(cells, one), describe(cells, one[:, ::-1]))
    with pytest.raises(ConfigError, match="does not decompose into blocks"):
        CalibratedLatency(cells, {}).choose(one, 1)
