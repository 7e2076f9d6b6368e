import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hwnas.core.artifacts import StoredPredictor, load_predictor, save_predictor
from hwnas.core.errors import PredictorError

META = {"space": "abc", "metric": "accuracy", "layers": [1, 2], "note": None}
ARRAYS = {"weights": np.arange(6.0).reshape(2, 3), "ids": np.array([3, 1], dtype=np.int32), "mask": np.array([True, False])}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "accuracy.json"
    save_predictor(path, "ridge", META, ARRAYS)
    return path


def test_what_is_saved_is_loaded(path: Path) -> None:
    stored = load_predictor(path)
    assert stored.kind == "ridge"
    assert stored.meta == META
    assert stored.arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(stored.arrays[name], value)
        assert stored.arrays[name].dtype == value.dtype


@settings(max_examples=25, deadline=None)
@given(
    value=arrays(st.sampled_from([np.float32, np.float64, np.int16, np.int64, np.bool_]), array_shapes(min_dims=0, min_side=0, max_side=4))
)
def test_any_numbers_survive(tmp_path_factory: pytest.TempPathFactory, value: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("p") / "p.json"
    save_predictor(path, "any", {}, {"value": value})
    again = load_predictor(path).arrays["value"]
    np.testing.assert_array_equal(again, value)
    assert again.shape == value.shape


def test_the_same_predictor_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "again" / "accuracy.json"
    save_predictor(other, "ridge", dict(reversed(list(META.items()))), dict(reversed(list(ARRAYS.items()))))
    assert other.read_bytes() == path.read_bytes()
    assert other.with_suffix(".npz").read_bytes() == path.with_suffix(".npz").read_bytes()


def test_the_arrays_are_an_ordinary_npz(path: Path) -> None:
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["weights"], ARRAYS["weights"])


@pytest.mark.parametrize("value", [np.array([{}], dtype=object), np.array(["a"]), np.array([1j])])
def test_what_is_no_number_is_not_stored(tmp_path: Path, value: np.ndarray) -> None:
    with pytest.raises(PredictorError, match=r"array 'odd' is of type .*; only numbers"):
        save_predictor(tmp_path / "p.json", "any", {}, {"odd": value})
    assert list(tmp_path.iterdir()) == []


def refused(path: Path, says: str) -> None:
    with pytest.raises(PredictorError, match=says) as caught:
        load_predictor(path)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(path: Path, tmp_path: Path) -> None:
    refused(tmp_path / "none.json", r"none\.json: no such file")
    path.with_suffix(".npz").unlink()
    refused(path, r"accuracy\.npz: the arrays of accuracy\.json are not readable")


def test_a_changed_meta_is_refused(path: Path) -> None:
    path.write_text(path.read_text().replace('"abc"', '"abd"'))
    refused(path, "was changed after it was written")


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_torn_arrays_are_refused(path: Path, keep: int) -> None:
    arrays = path.with_suffix(".npz")
    arrays.write_bytes(arrays.read_bytes()[:keep])
    refused(path, "sha256 differs")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": NaN}', "nonsense"])
def test_other_files_are_refused(path: Path, text: str) -> None:
    path.write_text(text)
    refused(path, "accuracy")


def test_another_version_is_refused(path: Path) -> None:
    document: dict[str, Any] = json.loads(path.read_text())
    document["version"] = 2
    path.write_text(json.dumps(document))
    refused(path, "version")


def test_arrays_other_than_listed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas.core import artifacts

    path = tmp_path / "p.json"
    save_predictor(path, "any", {}, {"value": np.ones(3)})
    monkeypatch.setattr(artifacts, "_unpack", lambda where, raw: {"value": np.ones(4)})
    refused(path, "holds other arrays than")


def test_bytes_that_are_no_npz_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas.core import artifacts

    path = tmp_path / "p.json"
    monkeypatch.setattr(artifacts, "_pack", lambda arrays: b"PK\x03\x04 nothing")
    save_predictor(path, "any", {}, {"value": np.ones(3)})
    refused(path, "not readable as npz")


def test_a_predictor_is_refused_for_what_it_is_not(path: Path) -> None:
    stored = load_predictor(path)
    stored.require("ridge", space="abc", metric="accuracy")
    with pytest.raises(PredictorError, match="of kind 'ridge', not 'mlp'"):
        stored.require("mlp")
    with pytest.raises(PredictorError, match="of space abc, not xyz, device None, not pi4; fit it again"):
        stored.require("ridge", space="xyz", device="pi4")


def test_arrays_are_checked_when_they_are_taken() -> None:
    stored = StoredPredictor("ridge", {}, {"w": np.ones((2, 3), dtype=np.float32), "bad": np.array([np.inf])}, "here")
    assert stored.array("w", shape=(2, None)).dtype == np.float64
    for name, shape, says in (
        ("v", (1,), "'v' is missing"),
        ("w", (3, 2), "has shape"),
        ("w", (6,), "has shape"),
        ("bad", (1,), "not finite"),
    ):
        with pytest.raises(PredictorError, match=f"here: array .*{says}"):
            stored.array(name, shape=shape)
