"""How accurate subnets are: taken out of the supernet, recalibrated, and run on images that no one trained on."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hwnas.core.arch import Architecture
from hwnas.core.errors import DataError
from hwnas.data.dataset import Dataset
from hwnas.data.images import Pixels8
from hwnas.data.preprocessing import Preprocessing
from hwnas.space.family import blocks_of, family_of
from hwnas.supernet.calibrate import Statistics, recalibrate, restore, statistics_of
from hwnas.supernet.family import Supernet, supernet_family
from hwnas.supernet.tensors import channels_last, threads
from hwnas.supernet.together import Together, common

BATCH = 256
KEPT_BYTES = 2**29
"""Up to how much of what several subnets share is kept in memory at one place of their chains."""
REMEMBERED = 512
"""Of how many subnets the statistics are remembered."""
MAX_LOSS = 20.0
"""What the loss of one image counts at most, nats: a net that is sure of the wrong thing everywhere has a loss all the same."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a net does on some images: the share that it gets right, and the mean cross entropy with their labels in nats."""

    accuracy: float
    loss: float


def evaluate(module: nn.Module, images: Pixels8, labels: NDArray[np.int64], preprocessing: Preprocessing) -> float:
    """Share of images whose largest logit is their label's: ``images (n, C, R, R) uint8``, ``labels (n,) -> 0 to 1``."""
    with torch.inference_mode():
        return _score((module(batch) for batch in _tensors(images, preprocessing)), labels, images=len(images)).accuracy


def _score(logits: Iterable[Tensor], labels: NDArray[np.int64], *, images: int) -> Score:
    """Of the logits of images, batch after batch."""
    if not images or images != len(labels):
        raise DataError(f"{images} images and {len(labels)} labels give no accuracy")
    told = torch.cat(list(logits))
    truth = torch.from_numpy(np.array(labels))
    losses = F.cross_entropy(told.double(), truth, reduction="none").nan_to_num(nan=MAX_LOSS).clamp(max=MAX_LOSS)
    return Score(int((told.argmax(dim=1) == truth).sum()) / images, float(losses.mean()))


def _tensors(images: Pixels8, preprocessing: Preprocessing) -> Iterator[Tensor]:
    for start in range(0, len(images), BATCH):
        yield channels_last(preprocessing.normalise(images[start : start + BATCH]))


class Subnets:
    """Subnets of one supernet, recalibrated on the beginning of the train part: a fair sample of it (`hwnas.data.split`)."""

    def __init__(self, supernet: Supernet, data: Dataset, *, recalibration_images: int = 512, torch_threads: int = 2) -> None:
        self.supernet, self.data, self.torch_threads = supernet, data, torch_threads
        self.recalibration_images = recalibration_images
        self._images: dict[tuple[str, int], Pixels8] = {}
        self._statistics: OrderedDict[Architecture, Statistics] = OrderedDict()

    def subnet(self, arch: Architecture) -> nn.Module:
        """``arch`` as a plain module, recalibrated and in evaluation mode: what is evaluated is what is exported."""
        module = supernet_family(self.supernet.space).extract(self.supernet, arch)
        if arch in self._statistics:
            restore(module, self._statistics[arch])
            return module
        with threads(self.torch_threads):
            recalibrate(module, self._calibration(self._size(arch)))
        self._remember(arch, statistics_of(module))
        return module

    def accuracy(self, arch: Architecture, *, part: str = "val") -> float:
        """Share of the part's images that ``arch`` gets right, 0 to 1."""
        return next(iter(self.accuracies([arch], part=part)))[1]

    def accuracies(self, archs: Iterable[Architecture], *, part: str = "val") -> Iterator[tuple[Architecture, float]]:
        """Each of ``archs`` with the share of the part's images that it gets right, 0 to 1; in the order of `scores`."""
        return ((arch, score.accuracy) for arch, score in self.scores(archs, part=part))

    def scores(self, archs: Iterable[Architecture], *, part: str = "val") -> Iterator[tuple[Architecture, Score]]:
        """Each of ``archs`` with how it does on the part's images; in an order of their own.

        What subnets begin with in common is computed once (`hwnas.supernet.together`), and gives the same bits as each alone.
        """
        space, family = self.supernet.space, supernet_family(self.supernet.space)
        chains = {arch: family.part_names(space, arch) for arch in archs}
        ordered = sorted(chains, key=lambda arch: (self._size(arch), chains[arch]))
        for size, members in groupby(ordered, key=self._size):
            group = list(members)
            together = Together(partial(self._calibration, size), partial(self._batches, part, size))
            shared = [*(common(chains[a], chains[b]) for a, b in pairwise(group)), 0]
            for arch, keep in zip(group, shared, strict=True):
                parts = family.parts(family.extract(self.supernet, arch))
                with threads(self.torch_threads):
                    logits, statistics = together.run(chains[arch], parts, keep=self._affordable(arch, keep, part))
                    score = _score(logits, self.data.labels(part), images=self.data.part(part).n)
                self._remember(arch, statistics)
                yield arch, score

    def _affordable(self, arch: Architecture, keep: int, part: str) -> int:
        """``keep``, or 0 where what comes out of so many parts takes too much memory."""
        images = self.recalibration_images + self.data.part(part).n
        values = math.prod(blocks_of(self.supernet.space, arch)[keep].in_shape)
        return keep if 4 * values * images <= KEPT_BYTES else 0

    def _remember(self, arch: Architecture, statistics: Statistics) -> None:
        self._statistics[arch] = statistics
        while len(self._statistics) > REMEMBERED:
            self._statistics.popitem(last=False)

    def _calibration(self, size: int) -> Iterator[Tensor]:
        return self._batches("train", size, self.recalibration_images)

    def _batches(self, part: str, size: int, limit: int | None = None) -> Iterator[Tensor]:
        if (part, size) not in self._images:
            self._images[part, size] = self.data.images(part, size)
        return _tensors(self._images[part, size][:limit], self.data.preprocessing(size))

    def _size(self, arch: Architecture) -> int:
        return family_of(self.supernet.space).resolution(self.supernet.space, arch)
