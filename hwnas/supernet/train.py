"""The training loop: the sandwich rule with in-place distillation (Yu et al. 2020, BigNAS, arXiv 2003.11142).

In every step the largest subnet learns from the labels, and the smallest and some random ones learn from what the largest says of the same
images at their own resolutions. Batches, subnets and augmentation are functions of seed, epoch and step, so a run that was killed anywhere
and goes on from its last checkpoint ends with the same bits on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hwnas.core.arch import Architecture, SearchSpace
from hwnas.core.errors import DataError, TrainingDiverged
from hwnas.data.batches import augment, batches
from hwnas.data.dataset import Dataset
from hwnas.data.images import Pixels8
from hwnas.space.family import family_of
from hwnas.space.moves import sample
from hwnas.supernet.checkpoint import Checkpoints, Position
from hwnas.supernet.family import Supernet
from hwnas.supernet.recipe import TrainConfig
from hwnas.supernet.shares import Batch, Shares
from hwnas.supernet.tensors import threads

Subnets = Callable[[int, int], tuple[Architecture, ...]]
"""The subnets to train at an epoch and step: the first learns from the labels, the others from the first."""

Positions = NDArray[np.int64]
Floats = NDArray[np.float32]
_DRAW, _AUGMENT = 1, 2  # keep the streams of random numbers apart


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is after a step; ``loss`` is that of the first subnet on the labels."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return (self.epoch * self.steps + self.step + 1) / (self.epochs * self.steps)


def sandwich(space: SearchSpace, *, random_subnets: int, seed: int) -> Subnets:
    """The largest, the smallest and ``random_subnets`` random architectures in every step."""
    smallest, largest = family_of(space).extremes(space)

    def subnets(epoch: int, step: int) -> tuple[Architecture, ...]:
        codes = sample(space, random_subnets, np.random.default_rng([seed, _DRAW, epoch, step]))
        return (largest, smallest, *(space.architecture(code) for code in codes))

    return subnets


def alone(arch: Architecture) -> Subnets:
    """One architecture, trained by itself on the labels."""
    return lambda epoch, step: (arch,)  # noqa: ARG005 (the signature is Subnets')


def steps_an_epoch(data: Dataset, config: TrainConfig) -> int:
    """Whole batches of the train part; none raises `DataError`."""
    n = data.part("train").n
    if n < config.batch:
        raise DataError(f"data set '{data.name}' has {n} training images, fewer than one batch of {config.batch}; set train.batch lower")
    return n // config.batch


def train(
    supernet: Supernet,
    subnets: Subnets,
    data: Dataset,
    config: TrainConfig,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Train ``supernet`` in place on the train part of ``data``, from its latest checkpoint where there is one.

    Raises `TrainingDiverged` when the loss becomes infinite or NaN, `DataError` when there are fewer images than a batch.
    """
    steps = steps_an_epoch(data, config)
    n = data.part("train").n
    optimiser = _optimiser(supernet, config)
    start = checkpoints.load(supernet, optimiser) if checkpoints else Position(0, 0)
    supernet.train()
    views = _Views(supernet.space, data, config, seed=seed)
    widest = len(subnets(0, 0)) * config.batch * math.prod(supernet.space.input_shape)
    with threads(1), Shares(supernet, processes=config.threads, label_smoothing=config.label_smoothing, floats=widest) as shares:
        for epoch in range(start.epoch, config.epochs):
            for step, positions in enumerate(batches(n, batch=config.batch, seed=seed, epoch=epoch, drop_last=True)):
                if (epoch, step) < (start.epoch, start.step):
                    continue
                _set_lr(optimiser, learning_rate(config, steps, epoch * steps + step))
                loss = shares.step(views.batch(subnets(epoch, step), positions, epoch, step))
                optimiser.step()
                if not math.isfinite(loss):
                    raise TrainingDiverged(f"epoch {epoch + 1}, step {step + 1}: the loss became {loss}; set train.lr below {config.lr}")
                if checkpoints and (step + 1 == steps or (config.checkpoint_steps and (step + 1) % config.checkpoint_steps == 0)):
                    after = Position(epoch + 1, 0) if step + 1 == steps else Position(epoch, step + 1)
                    checkpoints.save(after, supernet, optimiser)
                if progress:
                    progress(Progress(epoch, config.epochs, step, steps, loss))


def learning_rate(config: TrainConfig, steps: int, at: int) -> float:
    """Linear warm-up, then half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983); ``at`` counts steps from the first epoch on."""
    total, warmup = config.epochs * steps, config.warmup_epochs * steps
    if at < warmup:
        return config.lr * (at + 1) / (warmup + 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (at - warmup) / max(1.0, total - warmup)))


class _Views:
    """The images of a step at any resolution, all augmented by the same draws."""

    def __init__(self, space: SearchSpace, data: Dataset, config: TrainConfig, *, seed: int) -> None:
        self.space, self.data, self.config, self.seed = space, data, config, seed
        self.pixels: dict[int, Pixels8] = {}

    def batch(self, archs: tuple[Architecture, ...], positions: Positions, epoch: int, step: int) -> Batch:
        """What a step learns from; each architecture sees the images at its resolution."""
        sizes = [family_of(self.space).resolution(self.space, arch) for arch in archs]
        made = {size: self.images(size, positions, epoch, step) for size in sorted(set(sizes))}
        return Batch(archs, tuple(made[size] for size in sizes), self.data.labels("train")[positions])

    def images(self, resolution: int, positions: Positions, epoch: int, step: int) -> Floats:
        """``(n, C, R, R) float32``, normalised."""
        if resolution not in self.pixels:
            self.pixels[resolution] = self.data.images("train", resolution)
        rng = np.random.default_rng([self.seed, _AUGMENT, epoch, step])
        moved = augment(self.pixels[resolution][positions], rng, flip=self.config.flip, pad=round(self.config.shift * resolution))
        return self.data.preprocessing(resolution).normalise(moved)


def _optimiser(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum; batch norms, biases and kernel matrices (which start as the identity) are not decayed."""
    decayed = {name for name, p in net.named_parameters() if p.ndim > 1 and ".transforms." not in name}
    groups = [
        {"params": [p for name, p in net.named_parameters() if name in decayed], "weight_decay": config.weight_decay},
        {"params": [p for name, p in net.named_parameters() if name not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)


def _set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
