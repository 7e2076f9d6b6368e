"""How accurate subnets are: taken out of the supernet, recalibrated, and run on images that no one trained on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwnas.core.arch import Architecture
from hwnas.core.errors import DataError
from hwnas.data.dataset import Dataset
from hwnas.data.images import Pixels8
from hwnas.data.preprocessing import Preprocessing
from hwnas.space.family import family_of
from hwnas.supernet.calibrate import recalibrate
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.tensors import channels_last, threads

BATCH = 256


def evaluate(module: nn.Module, images: Pixels8, labels: NDArray[np.int64], preprocessing: Preprocessing) -> float:
    """Share of images whose largest logit is their label's: ``images (n, C, R, R) uint8``, ``labels (n,) -> 0 to 1``."""
    if not len(images) or len(images) != len(labels):
        raise DataError(f"{len(images)} images and {len(labels)} labels give no accuracy")
    right = 0
    with torch.inference_mode():
        for start, batch in _tensors(images, preprocessing):
            predicted = module(batch).argmax(dim=1).numpy()
            right += int((predicted == labels[start : start + len(batch)]).sum())
    return right / len(images)


def _tensors(images: Pixels8, preprocessing: Preprocessing) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(images), BATCH):
        yield start, channels_last(preprocessing.normalise(images[start : start + BATCH]))


class Subnets:
    """Subnets of one supernet, recalibrated on the beginning of the train part: a fair sample of it (`hwnas.data.split`)."""

    def __init__(self, supernet: Supernet, data: Dataset, *, recalibration_images: int = 512, torch_threads: int = 2) -> None:
        self.supernet, self.data, self.torch_threads = supernet, data, torch_threads
        self.recalibration_images = recalibration_images
        self._images: dict[tuple[str, int], Pixels8] = {}

    def subnet(self, arch: Architecture) -> nn.Module:
        """``arch`` as a plain module, recalibrated and in evaluation mode: what is evaluated is what is exported."""
        size = self._size(arch)
        module = supernet_family(self.supernet.space).extract(self.supernet, arch)
        images = self._part("train", size)[: self.recalibration_images]
        with threads(self.torch_threads):
            recalibrate(module, (batch for _, batch in _tensors(images, self.data.preprocessing(size))))
        return module

    def accuracy(self, arch: Architecture, *, part: str = "val") -> float:
        """Share of the part's images that ``arch`` gets right, 0 to 1."""
        size = self._size(arch)
        module = self.subnet(arch)
        with threads(self.torch_threads):
            return evaluate(module, self._part(part, size), self.data.labels(part), self.data.preprocessing(size))

    def _size(self, arch: Architecture) -> int:
        return family_of(self.supernet.space).resolution(self.supernet.space, arch)

    def _part(self, part: str, size: int) -> Pixels8:
        if (part, size) not in self._images:
            self._images[part, size] = self.data.images(part, size)
        return self._images[part, size]
