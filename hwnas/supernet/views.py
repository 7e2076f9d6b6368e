"""The images of a step at any resolution, all augmented by the same draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import SearchSpace
from hwnas.data.batches import augment
from hwnas.data.dataset import Dataset
from hwnas.data.images import Pixels8
from hwnas.space.family import family_of
from hwnas.supernet.curriculum import Lesson
from hwnas.supernet.gradients import Batch
from hwnas.supernet.recipe import TrainConfig

Positions = NDArray[np.int64]
Floats = NDArray[np.float32]
_AUGMENT, _MIX = 2, 3  # keep the streams of random numbers apart


class Views:
    """Gives batches of the train part of ``data``; what they hold depends on seed, epoch and step alone."""

    def __init__(self, space: SearchSpace, data: Dataset, config: TrainConfig, *, seed: int) -> None:
        self.space, self.data, self.config, self.seed = space, data, config, seed
        self.pixels: dict[int, Pixels8] = {}

    def batch(self, lessons: tuple[Lesson, ...], positions: Positions, epoch: int, step: int) -> Batch:
        """What a step learns from; each lesson's subnet sees the images at its resolution."""
        sizes = [family_of(self.space).resolution(self.space, lesson.arch) for lesson in lessons]
        made = {size: self.images(size, positions, epoch, step) for size in sorted(set(sizes))}
        batch = Batch(lessons, tuple(made[size] for size in sizes), self.data.labels("train")[positions])
        return self.mixed(batch, epoch, step) if self.config.mixup else batch

    def images(self, resolution: int, positions: Positions, epoch: int, step: int) -> Floats:
        """``(n, C, R, R) float32``, normalised."""
        if resolution not in self.pixels:
            self.pixels[resolution] = self.data.images("train", resolution)
        rng = np.random.default_rng([self.seed, _AUGMENT, epoch, step])
        moved = augment(self.pixels[resolution][positions], rng, flip=self.config.flip, pad=round(self.config.shift * resolution))
        return self.data.preprocessing(resolution).normalise(moved)

    def mixed(self, batch: Batch, epoch: int, step: int) -> Batch:
        """Every image mixed with one other of the batch (Zhang et al. 2018, mixup, arXiv 1710.09412); one share for all."""
        rng = np.random.default_rng([self.seed, _MIX, epoch, step])
        share, order = float(rng.beta(self.config.mixup, self.config.mixup)), rng.permutation(len(batch.labels))
        images = tuple((share * x + (1 - share) * x[order]).astype(np.float32) for x in batch.images)
        return Batch(batch.lessons, images, batch.labels, batch.labels[order], share)
