"""Build ``hwnas/assets/fashion_mnist.npz``: the class-balanced subset of Fashion-MNIST that ships with hwnas.

The source is the folder of four idx files that the Debian package ``dataset-fashion-mnist`` installs (Xiao et al. 2017, arXiv:1708.07747).
Train and validation images come from its 60,000 training images, test images from its 10,000 test images. No picture is taken twice. The
result holds ``{train,val,test}_{images,labels,source}`` and ``class_names``; ``*_source`` are positions in the source files, so that anyone
can check every image. The same source, counts and seed give the same file (with the same zlib, byte for byte).

    python scripts/build_fashion_mnist.py --source /usr/share/datasets/fashion-mnist
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DEFAULT_SOURCE = Path("/usr/share/datasets/fashion-mnist")
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "hwnas" / "assets" / "fashion_mnist.npz"
CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
MAX_BYTES = 8_000_000
SIDE = 28
Bytes = NDArray[np.uint8]


class SourceError(Exception):
    """The source folder or a count cannot be used; one line."""


def read_idx(path: Path, *, dims: int) -> Bytes:
    """One gzipped idx file of unsigned bytes with ``dims`` dimensions."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; install the Debian package dataset-fashion-mnist or give --source") from None
    except (OSError, EOFError, zlib.error) as problem:
        raise SourceError(f"{path}: not readable as gzip: {problem}") from None
    header = 4 + 4 * dims
    if len(raw) < header or raw[:4] != bytes([0, 0, 8, dims]):
        raise SourceError(f"{path}: not an idx file of bytes with {dims} dimension(s)")
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dims))
    if len(raw) - header != int(np.prod(shape, dtype=np.int64)):
        raise SourceError(f"{path}: holds {len(raw) - header} bytes of data where its header says {shape}")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def read_pair(source: Path, prefix: str) -> tuple[Bytes, Bytes]:
    """Images ``(n, 28, 28)`` and labels ``(n,)`` of one half of the source."""
    images = read_idx(source / f"{prefix}-images-idx3-ubyte.gz", dims=3)
    labels = read_idx(source / f"{prefix}-labels-idx1-ubyte.gz", dims=1)
    if images.shape != (len(labels), SIDE, SIDE) or not len(labels) or labels.max() >= len(CLASS_NAMES):
        raise SourceError(f"{source}: {prefix} has images of shape {images.shape} and {len(labels)} labels, which is not Fashion-MNIST")
    return images, labels


def pick(images: Bytes, labels: Bytes, counts: tuple[int, ...], *, seen: set[bytes], seed: int) -> list[NDArray[np.int32]]:
    """Sorted positions for each part of ``counts`` images, balanced over the classes; a picture in ``seen`` is passed over."""
    parts: list[list[int]] = [[] for _ in counts]
    for label in range(len(CLASS_NAMES)):
        shuffled = np.random.default_rng([seed, label]).permutation(np.flatnonzero(labels == label))
        fresh = []
        for position in shuffled:
            picture = images[position].tobytes()
            if picture not in seen:
                seen.add(picture)
                fresh.append(int(position))
        each = [count // len(CLASS_NAMES) for count in counts]
        if sum(each) > len(fresh):
            raise SourceError(f"class '{CLASS_NAMES[label]}' has {len(fresh)} distinct images; {sum(each)} were asked for")
        for part, start, stop in zip(parts, np.cumsum([0, *each]), np.cumsum(each), strict=False):
            part.extend(fresh[start:stop])
    return [np.array(sorted(part), dtype=np.int32) for part in parts]


def build(source: Path, *, train: int, val: int, test: int, seed: int) -> dict[str, NDArray[np.generic]]:
    """The arrays of the subset by name."""
    for name, count in (("train", train), ("val", val), ("test", test)):
        if count <= 0 or count % len(CLASS_NAMES):
            raise SourceError(f"--{name} must be a positive multiple of {len(CLASS_NAMES)}, not {count}")
    if seed < 0:
        raise SourceError(f"--seed must not be negative, not {seed}")
    seen: set[bytes] = set()
    test_pair, train_pair = read_pair(source, "t10k"), read_pair(source, "train")
    (test_at,) = pick(*test_pair, (test,), seen=seen, seed=seed)
    train_at, val_at = pick(*train_pair, (train, val), seen=seen, seed=seed)
    arrays: dict[str, NDArray[np.generic]] = {"class_names": np.array(CLASS_NAMES)}
    for name, (images, labels), at in (("train", train_pair, train_at), ("val", train_pair, val_at), ("test", test_pair, test_at)):
        arrays |= {f"{name}_images": images[at], f"{name}_labels": labels[at], f"{name}_source": at}
    return arrays


def pack(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The arrays as the bytes of an npz file, without clock or platform in them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system, member.external_attr = 3, 0o644 << 16
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(member, body.getvalue(), compresslevel=9)
    return out.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Build the file; 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(description="Build the Fashion-MNIST subset that ships with hwnas.")
    parser.add_argument("--source", type=Path, default=DEFAULT_SOURCE, help="folder of the four idx.gz files (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="file to write (default: hwnas/assets/fashion_mnist.npz)")
    parser.add_argument("--train", type=int, default=13_000, help="training images (default: %(default)s)")
    parser.add_argument("--val", type=int, default=2_000, help="validation images (default: %(default)s)")
    parser.add_argument("--test", type=int, default=3_000, help="test images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides which images are taken (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        data = pack(build(given.source, train=given.train, val=given.val, test=given.test, seed=given.seed))
        if len(data) > MAX_BYTES:
            raise SourceError(f"the file would have {len(data):,} bytes, more than {MAX_BYTES:,}; ask for fewer images")
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_bytes(data)
    except (SourceError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(f"{given.out}: {len(data):,} bytes; {given.train:,} train, {given.val:,} val, {given.test:,} test images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
