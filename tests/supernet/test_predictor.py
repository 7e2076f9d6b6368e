"""The ridge accuracy predictor: what it learns, what it stores, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hwnas.core.errors import PredictorError
from hwnas.space.family import SpaceOptions, find_space
from hwnas.space.moves import encode, sample
from hwnas.supernet.predictor import RidgeAccuracy, features, load_accuracy, save_accuracy


@pytest.fixture(scope="module")
def tiny():
    return find_space("tiny-32")


def accuracies(space, codes, noise=0.0, seed=0):
    """Additive in the choices, saturating, with noise; a truth that the features can come close to."""
    rng = np.random.default_rng(1)
    gains = rng.uniform(0, 1, encode(space, codes[:1]).shape[1])
    total = encode(space, codes) @ gains
    y = 0.8 + 0.09 * (1 - np.exp(-0.3 * (total - total.min())))
    return y + np.random.default_rng(seed).normal(0, noise, len(codes))


@pytest.fixture(scope="module")
def fitted(tiny):
    codes = sample(tiny, 160, np.random.default_rng(0))
    return RidgeAccuracy(tiny).fit(codes, accuracies(tiny, codes, noise=0.003))


def test_it_ranks_unseen_subnets_and_knows_its_own_error(tiny, fitted):
    codes = sample(tiny, 400, np.random.default_rng(9))
    truth = accuracies(tiny, np.concatenate([sample(tiny, 160, np.random.default_rng(0)), codes]))[160:]
    prediction = fitted.predict(codes)
    assert np.corrcoef(prediction.mean, truth)[0, 1] > 0.9
    z = (truth - prediction.mean) / prediction.std
    assert (prediction.std > 0).all()
    assert 0.2 < z.std() < 2.0


def test_it_is_less_sure_far_from_what_it_saw(tiny):
    near = sample(tiny, 60, np.random.default_rng(0))
    near[:, 0] = 0
    near = tiny.canonical(near)
    model = RidgeAccuracy(tiny).fit(near, accuracies(tiny, near, noise=0.003))
    far = near.copy()
    far[:, 0] = tiny.n_options[0] - 1
    assert model.predict(far).std.mean() > model.predict(near).std.mean()


def test_stored_and_loaded_it_predicts_the_same_bits_without_torch_or_sklearn(tiny, fitted, tmp_path):
    path = tmp_path / "accuracy.json"
    save_accuracy(path, fitted)
    codes = sample(tiny, 5, np.random.default_rng(3))
    expected = fitted.predict(codes)
    loaded = load_accuracy(path, tiny).predict(codes)
    assert np.array_equal(loaded.mean, expected.mean)
    assert np.array_equal(loaded.std, expected.std)
    program = f"""
import sys
sys.modules.update(dict.fromkeys(("torch", "sklearn", "onnx")))
from pathlib import Path
import json, numpy as np, hwnas.space.mobilenet_v3
from hwnas.space.family import find_space
from hwnas.space.moves import sample
from hwnas.supernet.predictor import load_accuracy
space = find_space("tiny-32")
codes = sample(space, 5, np.random.default_rng(3))
print(json.dumps(load_accuracy(Path({str(path)!r}), space).predict(codes).mean.tolist()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), expected.mean, rtol=1e-12)


def test_a_predictor_of_another_space_is_refused(tiny, fitted, tmp_path):
    path = tmp_path / "accuracy.json"
    save_accuracy(path, fitted)
    with pytest.raises(PredictorError):
        load_accuracy(path, find_space("tiny-32", SpaceOptions(classes=7)))
    with pytest.raises(PredictorError):
        load_accuracy(tmp_path / "missing.json", tiny)


def test_refusals(tiny):
    codes = sample(tiny, 8, np.random.default_rng(0))
    with pytest.raises(PredictorError, match="not fitted"):
        RidgeAccuracy(tiny).predict(codes)
    with pytest.raises(PredictorError, match="not fitted"):
        RidgeAccuracy(tiny).state()
    with pytest.raises(PredictorError, match="at least 5 subnets"):
        RidgeAccuracy(tiny).fit(codes[:4], np.full(4, 0.5))
    with pytest.raises(PredictorError, match="shares between 0 and 1"):
        RidgeAccuracy(tiny).fit(codes, np.full(8, 88.0))
    with pytest.raises(PredictorError, match="shares between 0 and 1"):
        RidgeAccuracy(tiny).fit(codes, np.full(8, np.nan))


def test_features_of_the_same_codes_are_the_same_whoever_is_beside_them(tiny):
    codes = sample(tiny, 6, np.random.default_rng(0))
    assert np.array_equal(features(tiny, codes)[2:3], features(tiny, codes[2:3]))
