"""Class folders of real image files: what is read, what is skipped, and what is refused by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.core.errors import DataError
from hwnas.data import Dataset, Limits, load_dataset

Make = Callable[..., Path]


def load(root: Path, **options: object) -> Dataset:
    return load_dataset(root.name, root=root.parent, seed=0, **options)  # type: ignore[arg-type]


def refusal(root: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_class_folders_are_split_and_named_in_order(photos: Make) -> None:
    data = load(photos({"dog": 20, "ant": 20, "cat": 20}, suffix=".JPG"))
    assert data.class_names == ("ant", "cat", "dog")
    assert (data.n_classes, data.channels, data.colour) == (3, 3, "RGB")
    assert [data.part(name).n for name in ("train", "val", "test")] == [42, 9, 9]
    images = data.images("val", 6)
    assert images.shape == (9, 3, 6, 6)
    assert images.dtype == np.uint8


def test_parts_of_the_folder_are_used_as_they_are(photos: Make, tmp_path: Path) -> None:
    for first, (part, count) in enumerate({"train": 5, "val": 2, "test": 3}.items()):
        photos({"a": count, "b": count}, base=f"set/{part}", first=100 * first)
    data = load(tmp_path / "set")
    assert [data.part(name).n for name in ("train", "val", "test")] == [10, 4, 6]
    assert load_dataset("set", root=tmp_path, seed=5).id == data.id


def test_a_class_may_be_called_train(photos: Make) -> None:
    assert load(photos({"bus": 6, "train": 6})).class_names == ("bus", "train")


def test_hidden_files_and_readme_are_skipped(photos: Make) -> None:
    root = photos()
    expected = load(root).id
    (root / "README.md").write_text("about")
    (root / ".git").mkdir()
    (root / "__MACOSX").mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._000.png"):
        (root / "cat" / name).write_bytes(b"\0")
    assert load(root).id == expected


def test_names_of_files_do_not_matter_but_content_does(photos: Make) -> None:
    root = photos()
    before = load(root)
    (root / "cat" / "000.png").rename(root / "cat" / "zzz.png")
    assert load(root).id == before.id
    Image.new("RGB", (5, 5), "red").save(root / "cat" / "zzz.png")
    assert load(root).id != before.id


def test_links_are_followed(photos: Make, tmp_path: Path) -> None:
    root = photos()
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("cat", "dog"):
        (linked / name).symlink_to(root / name)
    assert load(linked).id == load(root).id


@pytest.mark.parametrize("make", [lambda p: p.symlink_to(p), lambda p: p.symlink_to("nowhere"), lambda p: os.mkfifo(p)])
@pytest.mark.parametrize("place", ["cat/odd.png", "odd"])
def test_odd_entries_are_refused_or_harmless(photos: Make, make: Callable[[Path], None], place: str) -> None:
    root = photos()
    make(root / place)
    if place == "odd" and not (root / place).is_symlink():
        assert load(root).n_classes == 2  # beside the class folders only images matter
    else:
        assert str(root / place) in refusal(root)


def test_a_link_back_into_the_tree_ends(photos: Make) -> None:
    root = photos()
    (root / "cat" / "loop").symlink_to(root)
    assert "cat/loop" in refusal(root)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: (r / "cat" / "notes.txt").write_text("x"), ("notes.txt", "convert")),
        (lambda r: (r / "cat" / "000.png").rename(r / "cat" / "000.webp"), ("000.webp",)),
        (lambda r: (r / "cat" / "more").mkdir(), ("cat/more", "move")),
        (lambda r: shutil.copy(r / "cat" / "000.png", r / "lost.png"), ("lost.png", "outside")),
        (lambda r: (r / "empty").mkdir(), ("empty", "no images")),
        (lambda r: shutil.rmtree(r / "dog"), ("only one class", "cat")),
        (lambda r: [p.unlink() for p in sorted((r / "dog").iterdir())[2:]], ("'dog'", "too few")),
        (lambda r: shutil.copy(r / "cat" / "000.png", r / "dog" / "copy.png"), ("dog/copy.png", "class 'dog'", "cat/000.png")),
    ],
)
def test_a_wrong_tree_is_refused_by_name(photos: Make, change: Callable[[Path], object], words: tuple[str, ...]) -> None:
    root = photos()
    change(root)
    message = refusal(root)
    assert message.startswith(str(root))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: shutil.rmtree(r / "val"), ("not 'val'",)),
        (lambda r: shutil.rmtree(r / "test" / "b"), ("'b'", "part 'test'")),
        (lambda r: (r / "extra").mkdir(), ("extra", "move")),
        (lambda r: [shutil.rmtree(p) for p in (r / "val").iterdir()], ("val", "no images")),
        (
            lambda r: shutil.copy(r / "train" / "a" / "000.png", r / "test" / "a" / "leak.png"),
            ("leak.png", "part 'test'", "train/a/000.png"),
        ),
    ],
)
def test_wrong_parts_are_refused_by_name(photos: Make, tmp_path: Path, change: Callable[[Path], object], words: tuple[str, ...]) -> None:
    for first, part in enumerate(("train", "val", "test")):
        photos({"a": 2, "b": 2}, base=f"set/{part}", first=100 * first)
    change(tmp_path / "set")
    message = refusal(tmp_path / "set")
    for word in words:
        assert word in message


def test_an_empty_or_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    assert "no images" in refusal(tmp_path / "empty")

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "Permission denied" in refusal(tmp_path / "empty")


def test_an_unreadable_file_is_named(photos: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = photos()

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hwnas.data.folder.sha256_file", refuse)
    assert refusal(root) == f"{root}/cat/000.png: cannot be read: Permission denied"


def test_copies_within_a_class_stay_in_one_part(photos: Make) -> None:
    root = photos({"cat": 10, "dog": 10})
    for path in sorted((root / "cat").iterdir()):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    data = load(root)
    seen = {name: {image.tobytes() for image in data.images(name, 8)} for name in data.parts}
    assert sum(part.n for part in data.parts.values()) == 30
    assert all(seen[a].isdisjoint(seen[b]) for a, b in (("train", "val"), ("train", "test"), ("val", "test")))


@pytest.mark.parametrize("damage", ["empty", "text", "half", "head", "gif", "chunk"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_damaged_image_is_named(photos: Make, tmp_path: Path, damage: str, suffix: str) -> None:
    root = photos(suffix=suffix)
    path = root / "dog" / f"003{suffix}"
    raw = path.read_bytes()
    if damage == "gif":
        Image.new("L", (4, 4)).save(path, "GIF")
    else:
        middle = len(raw) // 2
        wrong = {"empty": b"", "text": b"not an image", "half": raw[:middle], "head": raw[:20]}
        wrong["chunk"] = b"\x89PNG\r\n\x1a\n" + b"\xff" * 40 if suffix == ".png" else b"\xff\xd8\xff" + b"\xfe" * 40
        path.write_bytes(wrong[damage])
    message = refusal(root, cache=tmp_path / "cache")
    assert message.startswith(f"{path}: ")
    assert not (tmp_path / "cache").exists()


def test_of_several_damaged_images_the_same_is_named_every_time(photos: Make) -> None:
    root = photos({"cat": 30, "dog": 30})
    for path in (root / "cat").iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    assert len({refusal(root) for _ in range(3)}) == 1


@pytest.mark.parametrize(("usual", "odd"), [("RGB", "L"), ("L", "RGB")])
def test_mixed_channels_name_the_odd_one(photos: Make, usual: str, odd: str) -> None:
    root = photos(mode=usual)
    path = root / "dog" / "005.png"
    Image.open(path).convert(odd).save(path)
    message = refusal(root)
    assert message.startswith(f"{path}: ")
    assert "15 of the 16 images" in message
    assert message.index("grayscale" if odd == "L" else "RGB") < message.index("16 images")


def test_sixteen_bit_images_are_refused(photos: Make) -> None:
    root = photos(mode="L")
    Image.fromarray(np.full((5, 5), 30_000, dtype=np.uint16)).save(root / "cat" / "000.png")
    assert "'I;16'" in refusal(root)


@pytest.mark.parametrize("size", [200, 12_000])
def test_too_many_pixels_are_refused_before_decoding(photos: Make, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    root = photos()
    Image.new("1", (size, size)).save(root / "cat" / "big.png")  # 144 million pixels in 18 kB
    assert str(root / "cat" / "big.png") in refusal(root, limits=Limits(max_pixels=10_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", size * size // 4)
    assert "bomb" in refusal(root, limits=Limits(max_pixels=10**9))


def test_a_file_that_vanishes_between_reading_and_training_is_named(photos: Make) -> None:
    root = photos()
    data = load(root)
    shutil.rmtree(root / "cat")
    with pytest.raises(DataError, match=r"cat/\d+\.png: corrupt or truncated image \(No such file"):
        data.images("train", 8)
