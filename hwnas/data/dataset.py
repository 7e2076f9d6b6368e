"""A data set that is split, checked and ready to train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hwnas.core.errors import DataError
from hwnas.core.registry import suggest
from hwnas.core.serial import content_id
from hwnas.data.cache import cached
from hwnas.data.collection import Labels, Pixels, in_order
from hwnas.data.images import Pixels8, pillow_version, strict_decoding
from hwnas.data.preprocessing import Preprocessing

MAX_RESOLUTION = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One of train, val and test. ``labels: (n,) int64``, read-only, in stratified order: every beginning has the classes in proportion."""

    labels: Labels
    pixels: Pixels

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images with labels in three parts; see `hwnas.data.load_dataset`.

    ``id`` is a hash of the content (class names, labels and image bytes of every part in order): the same id, the same data, wherever it
    lies. ``mean`` and ``std`` are of the train part, by channel, on the scale of 0 to 1.
    """

    name: str
    id: str
    class_names: tuple[str, ...]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parts: Mapping[str, Part]
    cache: Path | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def colour(self) -> Literal["L", "RGB"]:
        """Grayscale or RGB, in Pillow's words."""
        return "L" if self.channels == 1 else "RGB"

    def part(self, name: str) -> Part:
        """``train``, ``val`` or ``test``; any other name raises `DataError`."""
        if name not in self.parts:
            raise DataError(f"data set '{self.name}' has no part '{name}'; {suggest(name, self.parts)}")
        return self.parts[name]

    def labels(self, part: str) -> Labels:
        """``(n,) int64``, read-only."""
        return self.part(part).labels

    def images(self, part: str, resolution: int) -> Pixels8:
        """Every image of a part, centre-cropped and resized: ``(n, C, R, R) uint8``, read-only.

        With a cache folder the array is a memory map of a file there and is made once; indexing it gives arrays in memory.
        """
        pixels = self.part(part).pixels
        if not 1 <= resolution <= MAX_RESOLUTION:
            raise DataError(f"data set '{self.name}': resolution must be 1 to {MAX_RESOLUTION}, not {resolution}")
        shape = (len(pixels), self.channels, resolution, resolution)
        if self.cache is None:
            made = np.empty(shape, dtype=np.uint8)
            with strict_decoding():
                for position, row in enumerate(in_order(lambda i: pixels.square(i, resolution=resolution), len(pixels))):
                    made[position] = row
            made.setflags(write=False)
            return made
        # decoders differ in the last bit between versions, and the same seed has to give the same bits
        key = content_id([self.id, part, resolution, pillow_version()])
        path = self.cache / f"{self.id}-{part}-{resolution}-{key}.npy"
        with strict_decoding():
            return cached(path, shape, lambda: in_order(lambda i: pixels.square(i, resolution=resolution), len(pixels)))

    def preprocessing(self, resolution: int) -> Preprocessing:
        """What turns an image file into an input of this resolution; the normalisation is the same for every resolution."""
        return Preprocessing(size=resolution, colour=self.colour, mean=self.mean, std=self.std)
