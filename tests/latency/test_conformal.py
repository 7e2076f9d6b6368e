from pathlib import Path

import numpy as np
import pytest

from hwnas.core.artifacts import load_predictor, save_predictor
from hwnas.core.errors import PredictorError
from hwnas.core.predict import Prediction
from hwnas.latency.calibrated import CalibratedLatency
from hwnas.latency.conformal import Intervals
from hwnas.latency.evaluate import evaluate
from hwnas.latency.predictors import PREDICTORS
from hwnas.latency.transfer import DevicePrior
from hwnas.latency.trusted import TrustedLatency
from tests.latency.test_predictors import ADDITIVE, CODES, KNOWN, MEASURED, OTHERS, SPACE, TABLE, TEST, TRAIN


def noisy(rng: np.random.Generator, n: int) -> tuple[Prediction, np.ndarray]:
    mean = rng.uniform(1, 5, n)
    return Prediction(mean, 0.02 * mean), mean * (1 + 0.03 * rng.standard_t(4, n))


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_intervals_cover_what_they_say(level: float) -> None:
    """Whatever the noise and however wrong the standard deviation, on average over draws."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(60):
        intervals = Intervals.from_held_out(*noisy(rng, 100))
        prediction, measured = noisy(rng, 400)
        low, high = intervals.bounds(prediction, level)
        covered.append(np.mean((low <= measured) & (measured <= high)))
        assert (intervals.upper(prediction, level) >= prediction.mean).all()
    assert level - 0.015 < np.mean(covered) < level + 0.03


def test_an_upper_bound_is_exceeded_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    above = []
    for _ in range(60):
        intervals = Intervals.from_held_out(*noisy(rng, 100))
        prediction, measured = noisy(rng, 400)
        above.append(np.mean(measured > intervals.upper(prediction, 0.95)))
    assert 0.02 < np.mean(above) < 0.065


def test_too_few_held_out_networks_for_a_level_are_told() -> None:
    intervals = Intervals.from_held_out(*noisy(np.random.default_rng(2), 10))
    with pytest.raises(PredictorError, match=r"10 held-out networks cannot bound a share of 0\.95; measure 9 more"):
        intervals.bounds(Prediction(np.ones(1), np.ones(1)), 0.95)
    with pytest.raises(PredictorError, match="between 0 and 1, not 1"):
        intervals.upper(Prediction(np.ones(1), np.ones(1)), 1.0)
    with pytest.raises(PredictorError, match="above 0"):
        Intervals.from_held_out(Prediction(np.ones(2), np.zeros(2)), np.ones(2))


def test_scores_are_borrowed_from_devices_that_are_taken_as_new_in_turn() -> None:
    assert KNOWN.prior is not None
    intervals = Intervals.from_other_devices(KNOWN.prior, OTHERS, count=10, repeats=1)
    assert intervals.borrowed
    assert len(intervals.scores) == 300 * len(OTHERS)
    assert (np.diff(intervals.scores) >= 0).all()
    same = Intervals.from_other_devices(KNOWN.prior, OTHERS, count=10, repeats=1)
    np.testing.assert_array_equal(intervals.scores, same.scores)
    with pytest.raises(PredictorError, match="at least 2 known ones"):
        Intervals.from_other_devices(DevicePrior.learn(SPACE, OTHERS[:2]), OTHERS[:2], count=10)


@pytest.mark.parametrize(("kind", "relative"), [("calibrated", False), ("calibrated", True), ("additive", False)])
def test_a_trusted_predictor_survives_its_file(kind: str, relative: bool, tmp_path: Path) -> None:
    unfitted = TrustedLatency(SPACE, TABLE.context, "p50", kind, PREDICTORS.get(kind).make(KNOWN), measured_largest_ms=3.25)
    made = unfitted.fit(CODES[TRAIN], MEASURED[TRAIN], relative=relative)
    made.save(tmp_path / "p.json")
    again = TrustedLatency.load(tmp_path / "p.json", SPACE, device=TABLE.device, statistic="p50")
    assert again.label == made.label == "bench/onnxruntime"
    np.testing.assert_allclose(again.upper(CODES[TEST]), made.upper(CODES[TEST]), rtol=1e-13)
    np.testing.assert_allclose(again.bounds(CODES[TEST], 0.9)[0], made.bounds(CODES[TEST], 0.9)[0], rtol=1e-13)
    np.testing.assert_array_equal(again.outside(CODES), made.outside(CODES))
    with pytest.raises(PredictorError, match="must be between 0 and 1, not 0"):
        made.bounds(CODES[:1], 0.0)
    assert np.mean(MEASURED[TEST] <= again.upper(CODES[TEST])) > 0.88
    assert (again.largest_ms(), again.networks) == (3.25, len(TRAIN))
    share = again.upper(CODES[TEST]) / again.predict(CODES[TEST]).mean
    assert (np.ptp(share) < 1e-12) == (relative or kind == "additive")
    for name, wrong in (("device", "pi4"), ("runtime", "litert"), ("threads", 2), ("regime", "busy"), ("statistic", "p90")):
        with pytest.raises(PredictorError, match=f"the predictor is of {name} .*, not {wrong}"):
            TrustedLatency.load(tmp_path / "p.json", SPACE, **{name: wrong})


@pytest.mark.parametrize("lacking", ["relative", "measured_largest_ms", "domain"])
def test_a_file_of_another_version_is_refused(lacking: str, tmp_path: Path) -> None:
    made = TrustedLatency(SPACE, TABLE.context, "p50", "additive", ADDITIVE).fit(CODES[:20], MEASURED[:20])
    made.save(tmp_path / "p.json")
    stored = load_predictor(tmp_path / "p.json")
    save_predictor(tmp_path / "p.json", stored.kind, {k: v for k, v in stored.meta.items() if k != lacking}, stored.arrays)
    with pytest.raises(PredictorError, match=f"not a predictor as this version writes it \\('{lacking}'\\); fit it again"):
        TrustedLatency.load(tmp_path / "p.json", SPACE)


def test_a_candidate_outside_of_what_was_measured_is_flagged() -> None:
    """Only the quicker half was measured: the slowest networks are to be measured, not trusted."""
    order = np.argsort(MEASURED)
    quick, slow = order[: len(order) // 2], order[-10:]
    predictor = CalibratedLatency.from_additive(ADDITIVE)
    made = TrustedLatency(SPACE, TABLE.context, "p50", "calibrated", predictor).fit(CODES[quick], MEASURED[quick])
    assert made.outside(CODES[slow]).all()
    assert not made.outside(CODES[quick]).any()
    with pytest.raises(PredictorError, match="no interval before a fit"):
        TrustedLatency(SPACE, TABLE.context, "p50", "calibrated", predictor).upper(CODES[:1])


def test_an_evaluation_sees_no_network_that_it_was_fitted_on() -> None:
    """Times without any rule cannot be predicted: whoever saw them could."""
    noise = np.random.default_rng(5).lognormal(0.0, 0.5, len(CODES))
    found = evaluate(CalibratedLatency.from_additive(ADDITIVE), CODES[:80], noise[:80])
    assert abs(found.agreement.spearman) < 0.3
    assert 0.8 < found.coverage[0.9].share < 0.99
    good = evaluate(CalibratedLatency.from_additive(ADDITIVE), CODES[:80], MEASURED[:80])
    assert good.agreement.within_5 > 0.98
    assert good.coverage[0.95].width < found.coverage[0.95].width
    with pytest.raises(PredictorError, match="needs at least 20"):
        evaluate(ADDITIVE, CODES[:10], MEASURED[:10])
