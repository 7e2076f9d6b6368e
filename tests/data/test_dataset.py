"""A loaded data set: what its id stands for, its images and their cache, its limits, and the line that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.core.errors import DataError
from hwnas.data import Limits, load_dataset

Make = Callable[..., Path]


def test_images_are_the_files_resized(photos: Make) -> None:
    root = photos({"a": 3, "b": 3})
    data = load_dataset("photos", root=root.parent, seed=0)
    expected = {}
    for path in root.glob("*/*.png"):
        with Image.open(path) as image:
            cropped = image.crop((1, 0, 11, 10)).resize((7, 7), Image.Resampling.BILINEAR)
        expected[np.asarray(cropped).transpose(2, 0, 1).tobytes()] = data.class_names.index(path.parent.name)
    seen = {image.tobytes(): int(k) for part in data.parts for image, k in zip(data.images(part, 7), data.labels(part), strict=True)}
    assert seen == expected


def test_mean_and_std_are_of_the_train_part_alone(photos: Make, tmp_path: Path) -> None:
    for first, (part, count) in enumerate({"train": 4, "val": 2, "test": 2}.items()):
        photos({"a": count, "b": count}, base=f"set/{part}", first=100 * first)
    data = load_dataset("set", root=tmp_path, seed=0)
    pixels = data.images("train", 10) / 255.0  # the images are 12 x 10: the square of side 10 as it is
    np.testing.assert_allclose(data.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(data.std, pixels.std(axis=(0, 2, 3)), atol=1e-6)
    normal = data.preprocessing(10).normalise(np.asarray(data.images("train", 10)))
    assert np.abs(normal.mean(axis=(0, 2, 3))).max() < 1e-4
    assert np.abs(normal.std(axis=(0, 2, 3)) - 1).max() < 1e-4
    assert data.preprocessing(10).size == 10


def test_grayscale_stays_one_channel(photos: Make) -> None:
    data = load_dataset("photos", root=photos(mode="L").parent, seed=0)
    assert (data.channels, data.colour, len(data.mean)) == (1, "L", 1)
    assert data.images("test", 16).shape == (2, 1, 16, 16)


def test_large_and_small_images_weigh_the_same(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for name, size, shade in (("a", 2, 0), ("b", 40, 255)):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            image = Image.new("L", (size, size), shade)
            image.putpixel((0, 0), {"train": 1, "val": 2, "test": 3}[part])
            image.save(tmp_path / "set" / part / name / "x.png")
    assert load_dataset("set", root=tmp_path, seed=0).mean[0] == pytest.approx(0.5, abs=0.01)


def test_files_are_decoded_once_for_each_resolution(photos: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = photos(), tmp_path / "cache"
    first = load_dataset("photos", root=root.parent, seed=0, cache=cache)
    images = first.images("train", 8)
    assert np.array_equal(images, load_dataset("photos", root=root.parent, seed=0).images("train", 8))

    def refuse(path: Path, *, max_pixels: int) -> None:
        raise DataError(f"{path}: decoded again")

    monkeypatch.setattr("hwnas.data.collection.read_image", refuse)
    again = load_dataset("photos", root=root.parent, seed=0, cache=cache)
    assert (again.id, again.mean, again.std) == (first.id, first.mean, first.std)
    assert np.array_equal(again.images("train", 8), images)
    assert isinstance(again.images("train", 8), np.memmap)
    with pytest.raises(DataError, match="decoded again"):
        again.images("train", 9)
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"junk" * 100, None])
def test_a_damaged_cache_is_made_anew(photos: Make, tmp_path: Path, damage: bytes | None) -> None:
    cache = tmp_path / "cache"
    root = photos().parent
    data = load_dataset("photos", root=root, seed=0, cache=cache)
    images = np.array(data.images("val", 8))
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)
    again = load_dataset("photos", root=root, seed=0, cache=cache)
    assert again.mean == data.mean
    assert np.array_equal(again.images("val", 8), images)


def test_a_cache_that_cannot_be_written_is_named(photos: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    root = photos().parent
    with pytest.raises(DataError, match=r"file/c/.*cannot be written: Not a directory"):
        load_dataset("photos", root=root, seed=0, cache=tmp_path / "file" / "c")
    data = load_dataset("photos", root=root, seed=0, cache=tmp_path / "cache")
    (tmp_path / "cache").rename(tmp_path / "gone")
    (tmp_path / "cache").write_text("")
    with pytest.raises(DataError, match=r"cache/.*cannot be written"):
        data.images("val", 8)


def test_a_full_disk_is_an_error_and_leaves_nothing(photos: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    data = load_dataset("photos", root=photos().parent, seed=0, cache=cache)
    before = sorted(cache.iterdir())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hwnas.data.cache.os.fsync", full)
    with pytest.raises(DataError, match="No space left"):
        data.images("val", 8)
    assert sorted(cache.iterdir()) == before


def test_an_interrupt_leaves_no_half_file(photos: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    data = load_dataset("photos", root=photos().parent, seed=0, cache=cache)
    before = sorted(cache.iterdir())

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwnas.data.cache.os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.images("val", 8)
    assert sorted(cache.iterdir()) == before


def test_what_is_handed_out_is_read_only(photos: Make, tmp_path: Path) -> None:
    root = photos().parent
    for cache in (None, tmp_path / "cache"):
        data = load_dataset("photos", root=root, seed=0, cache=cache)
        for array in (data.labels("train"), data.images("train", 5)):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
        assert data.images("train", 5)[np.array([0, 1])].flags.writeable  # a batch is a copy


def test_limits_take_a_fair_sample(photos: Make) -> None:
    root = photos({"a": 40, "b": 20}).parent
    whole = load_dataset("photos", root=root, seed=0)
    some = load_dataset("photos", root=root, seed=0, limits=Limits(train=12, val=3, test=100))
    assert np.bincount(some.labels("train")).tolist() == [8, 4]
    assert [part.n for part in some.parts.values()] == [12, 3, whole.part("test").n]
    assert np.array_equal(some.images("train", 6), whole.images("train", 6)[:12])
    assert some.id != whole.id
    with pytest.raises(DataError, match="limit of 1 images leaves classes out of part 'val'"):
        load_dataset("photos", root=root, seed=0, limits=Limits(val=1))
    with pytest.raises(DataError, match="'train' must be at least 1, not 0"):
        Limits(train=0)


def test_the_seed_decides_the_split_and_the_id(photos: Make) -> None:
    root = photos({"a": 20, "b": 20}).parent
    ids = [load_dataset("photos", root=root, seed=seed).id for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("fashion-mnst", "did you mean 'fashion-mnist'?"),
        ("nowhere", "known: fashion-mnist"),
        ("data/nowhere", "data/nowhere: no such folder or .npz file"),
        ("nowhere.npz", "nowhere.npz: no such folder or .npz file"),
        ("", "expected a built-in name"),
        ("a\0b", "expected a built-in name"),
        ("notes.txt", "notes.txt: neither a folder nor an .npz file"),
        ("circle", "circle: cannot be read"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_a_source_that_names_nothing(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(DataError) as caught:
        load_dataset(source, root=tmp_path, seed=0)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("resolution", [0, -1, 5000])
def test_impossible_resolutions(photos: Make, resolution: int) -> None:
    data = load_dataset("photos", root=photos().parent, seed=0)
    with pytest.raises(DataError, match="resolution must be 1 to 4096"):
        data.images("train", resolution)


def test_unknown_parts(photos: Make) -> None:
    data = load_dataset("photos", root=photos().parent, seed=0)
    with pytest.raises(DataError, match="did you mean 'train'"):
        data.labels("trian")
