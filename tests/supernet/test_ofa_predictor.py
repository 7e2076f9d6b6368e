"""The published accuracy predictor: the sums that its authors' encoding gives, stored and loaded without loss, and what is refused."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reference import MISSING
from hwnas.core.errors import PredictorError
from hwnas.space.family import SpaceOptions, family_of, find_space
from hwnas.space.moves import sample
from hwnas.supernet.ofa_predictor import OPTIONS, ROWS, SHAPES, OfaAccuracy, read_published
from hwnas.supernet.predictor import load_accuracy, save_accuracy
from tests.rig.ofa import PREDICTOR

SIZES = OPTIONS.resolutions


def published(seed=0):
    """Arrays as they are published, with random numbers."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for i, (out, n) in enumerate(SHAPES):
        arrays[f"{2 * i}_weight"] = rng.normal(0, n**-0.5, (out, n)).astype(np.float32)
        arrays[f"{2 * i}_bias"] = rng.normal(0, 0.1, out).astype(np.float32)
    return arrays


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "predictor.npz"
    np.savez(path, **published())
    return path


def by_hand(space, row, arrays):
    """The authors' encoding and the layers, in float64."""
    values = space.values(row)
    x = np.zeros(128)
    for s, b in product(range(5), range(4)):
        if f"s{s}.b{b}.kernel" in values:
            x[3 * (4 * s + b) + (3, 5, 7).index(values[f"s{s}.b{b}.kernel"])] = 1
            x[60 + 3 * (4 * s + b) + (3, 4, 6).index(values[f"s{s}.b{b}.expand"])] = 1
    x[120 + (values["resolution"] - 112) // 16] = 1
    for i in (0, 2, 4):
        x = np.maximum(arrays[f"{i}_weight"].astype(float) @ x + arrays[f"{i}_bias"], 0)
    return float((arrays["6_weight"].astype(float) @ x + arrays["6_bias"])[0])


@pytest.mark.parametrize("sizes", [SIZES, (176,), (160, 224)])
def test_predictions_are_those_of_the_published_layers(file, sizes):
    predictor = read_published(file, resolutions=sizes)
    assert predictor.space.id == find_space("ofa-w1.2", SpaceOptions(resolutions=sizes)).id
    codes = sample(predictor.space, 40, np.random.default_rng(1))
    prediction = predictor.predict(codes)
    np.testing.assert_allclose(prediction.mean, [by_hand(predictor.space, row, published()) for row in codes], rtol=0, atol=1e-5)
    assert prediction.std.shape == (40,)
    assert (prediction.std > 0).all()


def test_more_rows_than_a_batch_and_none(file):
    predictor = read_published(file, resolutions=SIZES)
    codes = sample(predictor.space, ROWS + 3, np.random.default_rng(1))
    whole = predictor.predict(codes).mean
    np.testing.assert_allclose(predictor.predict(codes[-5:]).mean, whole[-5:], rtol=0, atol=1e-6)
    assert predictor.predict(codes[:0]).mean.shape == (0,)


def test_stored_and_loaded_it_predicts_the_same_bits(file, tmp_path):
    predictor = read_published(file, resolutions=SIZES)
    save_accuracy(tmp_path / "accuracy.json", predictor)
    loaded = load_accuracy(tmp_path / "accuracy.json", predictor.space)
    assert isinstance(loaded, OfaAccuracy)
    codes = sample(predictor.space, 30, np.random.default_rng(2))
    assert np.array_equal(loaded.predict(codes).mean, predictor.predict(codes).mean)
    for other in (SpaceOptions(resolutions=(160,)), SpaceOptions(classes=10, resolutions=SIZES)):
        with pytest.raises(PredictorError, match="is of space"):
            load_accuracy(tmp_path / "accuracy.json", find_space("ofa-w1.2", other))
    with pytest.raises(PredictorError, match="comes fitted"):
        predictor.fit(codes, np.zeros(30))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "4_bias"}, "1 arrays are missing, unknown or of another shape, first 4_bias"),
        (lambda a: {**a, "more": np.zeros(1)}, "first more"),
        (lambda a: {**a, "0_weight": a["0_weight"][:, :82]}, "first 0_weight"),
        (lambda a: {**a, "2_bias": np.full(400, np.nan, np.float32)}, "finite"),
        (lambda a: {**a, "2_bias": a["2_bias"].astype(np.float64)}, "float32"),
        (lambda a: {**a, "2_bias": np.array([None] * 400)}, "not readable as npz"),
    ],
)
def test_other_arrays_are_refused(tmp_path, change, message):
    path = tmp_path / "predictor.npz"
    np.savez(path, **change(published()))
    with pytest.raises(PredictorError, match=message):
        read_published(path, resolutions=SIZES)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"\x93NUMPY", b"hello"])
def test_what_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "predictor.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PredictorError, match="not readable as npz"):
        read_published(path, resolutions=SIZES)


@pytest.mark.parametrize(("sizes", "word"), [((), "all of"), ((128, 160), "128 pixels"), ((164,), "164 pixels")])
def test_a_resolution_that_it_was_not_fitted_to_is_refused(file, sizes, word):
    with pytest.raises(PredictorError, match=f"not fitted at {word}"):
        read_published(Path(file), resolutions=sizes)


@pytest.mark.skipif(not PREDICTOR.is_file(), reason=MISSING)
def test_the_published_weights_tell_small_from_large_subnets():
    predictor = read_published(PREDICTOR, resolutions=SIZES)
    small, large = (predictor.predict(arch.codes).mean[0] for arch in family_of(predictor.space).extremes(predictor.space))
    assert 0.7 < small < 0.78 < 0.8 < large < 0.9
