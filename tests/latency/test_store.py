import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.core.arch import SearchSpace
from hwnas.core.artifacts import load_predictor, save_predictor
from hwnas.core.errors import PredictorError
from hwnas.latency.additive import KIND, AdditiveLatency
from hwnas.latency.store import restore_latency
from hwnas.space.moves import sample
from tests.latency.tables import make_table, tiny_space

SPACE = tiny_space()


def save_latency(path: Path, predictor: AdditiveLatency) -> None:
    save_predictor(path, KIND, *predictor.state())


def load_latency(path: Path, space: SearchSpace) -> AdditiveLatency:
    return restore_latency(space, load_predictor(path))


@pytest.fixture(scope="module")
def predictor() -> AdditiveLatency:
    return AdditiveLatency.from_table(make_table(SPACE), SPACE)


@pytest.mark.parametrize("largest_ms", [0.125, None])
def test_the_measured_largest_is_kept(predictor: AdditiveLatency, tmp_path: Path, largest_ms: float | None) -> None:
    own = replace(predictor, measured_largest_ms=largest_ms)
    save_latency(tmp_path / "latency.json", own)
    again = load_latency(tmp_path / "latency.json", SPACE)
    assert again.measured_largest_ms == largest_ms
    assert again.largest_ms() == own.largest_ms()


def test_a_predictor_of_before_the_largest_was_kept_is_refused(predictor: AdditiveLatency, tmp_path: Path) -> None:
    meta, arrays = predictor.state()
    del meta["measured_largest_ms"]
    save_predictor(tmp_path / "latency.json", KIND, meta, arrays)
    with pytest.raises(PredictorError, match=r"it has no 'measured_largest_ms'\); run 'hwnas profile' to write it anew"):
        load_latency(tmp_path / "latency.json", SPACE)


@pytest.mark.parametrize("fitted", [True, False])
def test_it_predicts_the_same_when_read_back(predictor: AdditiveLatency, tmp_path: Path, fitted: bool) -> None:
    own = predictor if fitted else replace(predictor, scaling=None)
    path = tmp_path / "latency.json"
    save_latency(path, own)
    again = load_latency(path, SPACE)
    assert (again.context, again.statistic) == (own.context, "p50")
    codes = sample(SPACE, 100, np.random.default_rng(0))
    np.testing.assert_array_equal(again.predict(codes).mean, own.predict(codes).mean)
    np.testing.assert_array_equal(again.predict(codes).std, own.predict(codes).std)
    if fitted:
        np.testing.assert_array_equal(again.upper(codes), own.upper(codes))
        assert again.scaling is not None
        assert own.scaling is not None
        np.testing.assert_array_equal(again.scaling.residuals, own.scaling.residuals)


def test_a_predictor_of_another_space_is_refused(predictor: AdditiveLatency, tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    save_latency(path, predictor)
    other = tiny_space(24)
    with pytest.raises(PredictorError) as caught:
        load_latency(path, other)
    assert str(caught.value) == f"{path}: the predictor is of space {SPACE.id}, not {other.id}; fit it again for what is asked"


def test_another_kind_of_predictor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    save_predictor(path, "accuracy-ridge", {"space": SPACE.id}, {"weights": np.ones(3)})
    with pytest.raises(PredictorError, match=f"of kind 'accuracy-ridge', not '{KIND}'"):
        load_latency(path, SPACE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda meta, arrays: meta.pop("statistic"), "not a latency predictor as this version writes it"),
        (lambda meta, arrays: meta.update(overhead_ms="x"), "not a latency predictor as this version writes it"),
        (lambda meta, arrays: meta.update(measured_largest_ms=0.0), "a time of 0.0 ms"),
        (lambda meta, arrays: meta.update(measured_largest_ms="x"), "not a latency predictor as this version writes it"),
        (lambda meta, arrays: meta.update(fit=3), "not a latency predictor as this version writes it"),
        (lambda meta, arrays: meta["fit"].update(networks=2), "array 'residuals' has shape"),
        (lambda meta, arrays: arrays.pop("times_ms"), "array 'times_ms' is missing"),
        (lambda meta, arrays: arrays.update(times_ms=np.ones(3)), "array 'times_ms' has shape"),
        (lambda meta, arrays: arrays["times_ms"].__setitem__(0, np.nan), "not finite"),
    ],
)
def test_what_does_not_fit_together_is_refused(predictor: AdditiveLatency, tmp_path: Path, change: Any, says: str) -> None:
    meta, arrays = predictor.state()
    arrays = {name: value.copy() for name, value in arrays.items()}
    change(meta, arrays)
    path = tmp_path / "latency.json"
    save_predictor(path, KIND, meta, arrays)
    with pytest.raises(PredictorError, match=says):
        load_latency(path, SPACE)


def test_the_file_says_what_it_is(predictor: AdditiveLatency, tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    save_latency(path, predictor)
    meta = json.loads(path.read_text())["meta"]
    assert meta["space"] == SPACE.id
    assert meta["device"] == "bench"
    assert meta["quantile"] == 0.95
    assert load_predictor(path).kind == KIND
