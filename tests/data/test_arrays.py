"""npz files: both layouts, and everything that is refused by name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwnas.core.errors import DataError
from hwnas.data import Limits, load_dataset


def noise(n: int, *shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (n, *(shape or (6, 5))), dtype=np.uint8)


def one(n: int = 40, **changes: Any) -> dict[str, Any]:
    arrays = {"images": noise(n), "labels": np.arange(n) % 2} | changes
    return {name: array for name, array in arrays.items() if array is not None}


def three(**changes: Any) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for seed, (part, n) in enumerate({"train": 10, "val": 4, "test": 6}.items()):
        arrays |= {f"{part}_images": noise(n, 6, 6, 3, seed=seed), f"{part}_labels": np.arange(n, dtype=np.uint8) % 2}
    arrays |= changes
    return {name: array for name, array in arrays.items() if array is not None}


def refusal(folder: Path, arrays: dict[str, Any], **options: Any) -> str:
    path = folder / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError) as caught:
        load_dataset("bad.npz", root=folder, seed=0, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_one_pair_of_arrays_is_split(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **one())
    data = load_dataset("a.npz", root=tmp_path, seed=0)
    assert [part.n for part in data.parts.values()] == [28, 6, 6]
    assert (data.class_names, data.channels) == (("0", "1"), 1)
    assert data.images("val", 4).shape == (6, 1, 4, 4)


@pytest.mark.parametrize("as_words", [True, False])
def test_a_given_split_is_used(tmp_path: Path, as_words: bool) -> None:
    split = np.arange(40) // 2 % 3
    arrays = one(images=noise(40, 5, 5), split=np.array(["train", "val", "test"])[split] if as_words else split.astype(np.int8))
    np.savez(tmp_path / "a.npz", **arrays)
    data = load_dataset("a.npz", root=tmp_path, seed=0)
    for number, name in enumerate(("train", "val", "test")):
        expected = {image.tobytes() for image in arrays["images"][split == number]}
        assert {image.tobytes() for image in data.images(name, 5)} == expected


def test_three_pairs_of_arrays_keep_their_images(tmp_path: Path) -> None:
    arrays = three(class_names=np.array(["on", "off"]), train_source=np.arange(10))
    np.savez(tmp_path / "a.npz", **arrays)
    data = load_dataset("a.npz", root=tmp_path, seed=0)
    assert data.class_names == ("on", "off")
    for part in ("train", "val", "test"):
        given_pairs = {
            (i.transpose(2, 0, 1).tobytes(), int(k)) for i, k in zip(arrays[f"{part}_images"], arrays[f"{part}_labels"], strict=True)
        }
        read = {(i.tobytes(), int(k)) for i, k in zip(data.images(part, 6), data.labels(part), strict=True)}
        assert read == given_pairs


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (one(images=noise(40).astype(np.float32)), ("'images' is float32;", "uint8")),
        (one(images=np.full((40, 6, 5), np.nan)), ("'images' is float64 with NaN",)),
        (one(images=noise(40, 7)), ("(40, 7)",)),
        (one(images=noise(40, 6, 5, 4)), ("(40, 6, 5, 4)",)),
        (one(images=noise(40, 3, 6, 6)), ("channels come last",)),
        (one(images=noise(40, 0, 5)), ("(40, 0, 5)",)),
        (one(images=noise(0), labels=np.zeros(0, dtype=int)), ("(0, 6, 5)",)),
        (one(images=None), ("no array 'images'",)),
        (one(labels=None), ("no array 'labels'",)),
        (one(labels=np.zeros(40)), ("'labels' is float64;",)),
        (one(labels=np.full(40, np.nan)), ("'labels' is float64 with NaN",)),
        (one(labels=np.zeros(40, dtype=bool)), ("'labels' is bool",)),
        (one(labels=np.zeros(39, dtype=int)), ("(39,)", "40 images")),
        (one(labels=np.array([0, -1] * 20)), ("labels[1] is -1",)),
        (one(labels=np.array([0, 2**63] * 20, dtype=np.uint64)), (f"labels[1] is {2**63}",)),
        (one(labels=np.array([0, 10**9] * 20)), ("1000000000", "none is 1")),
        (one(labels=np.array([1, 2] * 20)), ("none is 0",)),
        (one(labels=np.array([0, 2] * 20), class_names=np.array(["a", "b"])), ("label 2", "image 1", "2 names")),
        (one(labels=np.array([0, 1] * 20), class_names=np.array(["a", "b", "c"])), ("'c'", "0 different")),
        (one(class_names=np.array([1, 2])), ("'class_names' is int",)),
        (one(class_names=np.array(["a", "a"])), ("one twice",)),
        (one(class_names=np.array(["a", " "])), ("empty name",)),
        (one(labels=np.zeros(40, dtype=int)), ("only one class",)),
        (one(n=4), ("too few to split",)),
        (one(split=np.zeros(39, dtype=int)), ("'split' has shape (39,)",)),
        (one(split=np.full(40, 3)), ("'split' holds",)),
        (one(split=np.full(40, "trian")), ("'split' holds",)),
        (one(split=np.zeros(40)), ("'split' holds",)),
        (one(split=np.zeros(40, dtype=int)), ("class '0' has no images in part 'val'",)),
        (one(label=np.zeros(40, dtype=int)), ("unknown array 'label'", "did you mean 'labels'?")),
        (one(images=np.zeros((40, 5, 5), dtype=np.uint8)), ("images[1]", "class '1'", "images[0]", "19 more")),
        (three(val_images=None), ("no array 'val_images'",)),
        (three(val_images=noise(4, 6, 5, 3)), ("'val_images' has images of shape (6, 5, 3)",)),
        (three(labels=np.zeros(10, dtype=int)), ("'labels' beside",)),
        (three(test_images=noise(6, 6, 6, 3, seed=0)), ("test_images[0]", "part 'train'")),
    ],
)
def test_wrong_arrays_are_refused_by_name(tmp_path: Path, arrays: dict[str, Any], words: tuple[str, ...]) -> None:
    message = refusal(tmp_path, arrays)
    for word in words:
        assert word in message


def test_flat_colour_teaches_nothing(tmp_path: Path) -> None:
    flat = np.full((40, 3, 9), 128, dtype=np.uint8)
    flat[:, :, 0] = noise(40, 3)  # images differ, but only where the crop takes off
    assert "flat colour" in refusal(tmp_path, one(images=flat))


def test_pickled_arrays_are_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    message = refusal(tmp_path, one(labels=np.array([Trap()] * 40, dtype=object)))
    assert "allow_pickle" in message
    assert not (tmp_path / "sprung").exists()


def test_a_huge_file_is_refused_by_its_size(tmp_path: Path) -> None:
    assert "more than 100" in refusal(tmp_path, one(), limits=Limits(max_bytes=100))


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    body = io.BytesIO()
    np.lib.format.write_array_header_1_0(body, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**6, 28)})
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("images.npy", body.getvalue() + b"\0" * 100)
    with pytest.raises(DataError, match=r"lie\.npz: not readable"):
        load_dataset("lie.npz", root=tmp_path, seed=0)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04K\x01."])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: not an npz file"):
        load_dataset("a.npz", root=tmp_path, seed=0)


def test_a_member_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images", b"text")
    with pytest.raises(DataError, match=r"a\.npz: .*'images'"):
        load_dataset("a.npz", root=tmp_path, seed=0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_or_cut_byte_gives_another_error(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "flip.npz"
    np.savez_compressed(path, **one(n=12))
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    path.write_bytes(raw)
    problem = ""
    try:
        images = sum(part.n for part in load_dataset("flip.npz", root=tmp_path, seed=0).parts.values())
    except DataError as caught:
        problem = str(caught)
    assert problem.startswith(str(path)) if problem else images == 12
