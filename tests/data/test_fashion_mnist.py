"""The data set that ships: its bytes, its balance, and that a script makes it again from the original files."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hwnas.core.serial import sha256_file
from hwnas.data import BUILT_IN, Dataset, load_dataset

ASSET = BUILT_IN.get("fashion-mnist")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "build_fashion_mnist.py"
SHA256 = "5ffa90630fe0179f04948b9433bc2e841c744da4e01b30b8302ed98ceff4a221"
CONTENT = "16e9535153d195a3"


@pytest.fixture(scope="module")
def shipped() -> Dataset:
    return load_dataset("fashion-mnist", root=Path(), seed=0)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_fashion_mnist", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_the_one_that_was_checked() -> None:
    assert sha256_file(ASSET) == SHA256
    assert ASSET.stat().st_size <= 8_000_000


def test_counts_and_balance(shipped: Dataset) -> None:
    assert shipped.id == CONTENT
    assert {name: part.n for name, part in shipped.parts.items()} == {"train": 13_000, "val": 2_000, "test": 3_000}
    for part in shipped.parts.values():
        assert set(np.bincount(part.labels)) == {part.n // 10}
    assert shipped.class_names[0] == "T-shirt/top"
    assert (shipped.n_classes, shipped.channels) == (10, 1)
    assert load_dataset("fashion-mnist", root=Path(), seed=9).id == CONTENT  # its parts are its own


def test_source_positions_are_in_range_and_distinct() -> None:
    with np.load(ASSET, allow_pickle=False) as file:
        train, val, test = (file[f"{part}_source"] for part in ("train", "val", "test"))
    assert 0 <= min(train.min(), val.min()) <= max(train.max(), val.max()) < 60_000
    assert 0 <= test.min() <= test.max() < 10_000
    assert len(set(train) | set(val)) == 15_000
    assert len(set(test)) == 3_000


def test_sizes_up_and_down(shipped: Dataset, tmp_path: Path) -> None:
    data = load_dataset("fashion-mnist", root=Path(), seed=0, cache=tmp_path)
    for resolution in (20, 28, 32):
        images = data.images("val", resolution)
        assert images.shape == (2_000, 1, resolution, resolution)
        assert abs(float(images.mean()) - float(shipped.images("val", 28).mean())) < 2.0


def test_the_notice_ships_with_it() -> None:
    notice = (ASSET.parent / "NOTICE.md").read_text()
    assert "Zalando SE" in notice
    assert "Permission is hereby granted, free of charge" in notice


def test_images_are_those_of_the_original_files(script: ModuleType) -> None:
    if not script.DEFAULT_SOURCE.is_dir():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    halves = {name: script.read_pair(script.DEFAULT_SOURCE, name) for name in ("train", "t10k")}
    with np.load(ASSET, allow_pickle=False) as file:
        for part, half in (("train", "train"), ("val", "train"), ("test", "t10k")):
            images, labels = halves[half]
            assert np.array_equal(file[f"{part}_images"], images[file[f"{part}_source"]])
            assert np.array_equal(file[f"{part}_labels"], labels[file[f"{part}_source"]])


def write_source(folder: Path, *, each: int = 6) -> Path:
    """A small source in the original's format."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for prefix in ("train", "t10k"):
        labels = np.tile(np.arange(10, dtype=np.uint8), each)
        images = rng.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
        for name, array in ((f"{prefix}-images-idx3-ubyte.gz", images), (f"{prefix}-labels-idx1-ubyte.gz", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (folder / name).write_bytes(gzip.compress(header + array.tobytes()))
    return folder


def run(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    small = ["--train", "30", "--val", "20", "--test", "40", *options]
    return subprocess.run([sys.executable, SCRIPT, "--source", source, "--out", out, *small], capture_output=True, text=True, check=False)


def test_the_script_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    source = write_source(tmp_path / "idx")
    outs = [tmp_path / name for name in ("a.npz", "b.npz", "c.npz")]
    for out, seed in zip(outs, ("0", "0", "1"), strict=True):
        done = run(source, out, "--seed", seed)
        assert (done.returncode, done.stderr) == (0, "")
    digests = [hashlib.sha256(out.read_bytes()).hexdigest() for out in outs]
    assert digests[0] == digests[1] != digests[2]
    data = load_dataset("a.npz", root=tmp_path, seed=0)
    assert [part.n for part in data.parts.values()] == [30, 20, 40]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--train", "35"), "multiple of 10, not 35"),
        (("--val", "0"), "multiple of 10, not 0"),
        (("--seed", "-1"), "--seed must not be negative"),
        (("--test", "70"), "has 6 distinct images; 7 were asked for"),
    ],
)
def test_the_script_refuses_impossible_counts(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    done = run(write_source(tmp_path / "idx"), tmp_path / "out.npz", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    "content", [None, b"", b"junk", gzip.compress(b"\0\0\x08\x01\0\0\0\x09", mtime=0), gzip.compress(b"\0\0\x08\x02", mtime=0)]
)
def test_the_script_names_a_wrong_source_file(
    tmp_path: Path, script: ModuleType, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_source(tmp_path / "idx") / "t10k-labels-idx1-ubyte.gz"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert script.main(["--source", str(path.parent), "--out", str(tmp_path / "out.npz")]) == 2
    assert str(path) in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_the_script_leaves_pictures_out_that_it_has_taken(script: ModuleType) -> None:
    images = np.zeros((40, 28, 28), dtype=np.uint8)
    images[:, 0, 0] = np.repeat(np.arange(20), 2)  # every picture twice
    labels = np.tile(np.repeat(np.arange(10), 2), 2).astype(np.uint8)
    (taken,) = script.pick(images, labels, (20,), seen=set(), seed=0)
    assert len({images[i].tobytes() for i in taken}) == 20


def test_its_own_size_needs_no_pillow() -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from pathlib import Path; from hwnas.core.errors import UsageError; from hwnas.data import load_dataset\n"
        "data = load_dataset('fashion-mnist', root=Path(), seed=0)\n"
        "print(data.images('val', 28).shape)\n"
        "try: data.images('val', 32)\n"
        "except UsageError as problem: print(problem)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SCRIPT.parent.parent)
    assert done.stdout.startswith("(2000, 1, 28, 28)\nreading or resizing images needs Pillow")
