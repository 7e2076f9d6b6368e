"""The training loop: steps of a curriculum's lessons (`hwnas.supernet.curriculum`), in phases with a learning rate of their own.

Batches, lessons and augmentation are functions of seed, epoch and step, so a run that was killed anywhere and goes on from its last
checkpoint ends with the same bits on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import nn

from hwnas.core.errors import DataError, TrainingDiverged
from hwnas.data.batches import batches
from hwnas.data.dataset import Dataset
from hwnas.supernet.checkpoint import Checkpoints, Position
from hwnas.supernet.curriculum import Curriculum, Phase
from hwnas.supernet.family import Supernet
from hwnas.supernet.gradients import Teacher
from hwnas.supernet.recipe import TrainConfig
from hwnas.supernet.shares import Shares
from hwnas.supernet.sorting import sort_supernet
from hwnas.supernet.tensors import threads
from hwnas.supernet.views import Views


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is after a step; ``loss`` is that of the first lesson on the labels."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return (self.epoch * self.steps + self.step + 1) / (self.epochs * self.steps)


def steps_an_epoch(data: Dataset, config: TrainConfig) -> int:
    """Whole batches of the train part; none raises `DataError`."""
    n = data.part("train").n
    if n < config.batch:
        raise DataError(f"data set '{data.name}' has {n} training images, fewer than one batch of {config.batch}; set train.batch lower")
    return n // config.batch


def train(
    supernet: Supernet,
    curriculum: Curriculum,
    data: Dataset,
    config: TrainConfig,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Train ``supernet`` in place on the train part of ``data``, from its latest checkpoint where there is one.

    Raises `TrainingDiverged` when the loss or a weight becomes infinite or NaN, `DataError` when there are fewer images than a batch.
    """
    steps = steps_an_epoch(data, config)
    run = _Run(supernet, curriculum, config)
    start = checkpoints.load(supernet, run.optimiser, others=run.others) if checkpoints else Position(0, 0)
    views = Views(supernet.space, data, config, seed=seed)
    floats = run.most_lessons * config.batch * math.prod(supernet.space.input_shape)
    with (
        threads(1),
        Shares(
            supernet,
            processes=config.threads,
            label_smoothing=config.label_smoothing,
            floats=floats,
            accumulate=config.accumulate,
            teacher=run.teacher,
        ) as shares,
    ):
        shares.teach()
        for epoch in range(start.epoch, config.epochs):
            for step, positions in enumerate(batches(data.part("train").n, batch=config.batch, seed=seed, epoch=epoch, drop_last=True)):
                if (epoch, step) < (start.epoch, start.step):
                    continue
                if step == 0 and run.enter(epoch):
                    shares.teach()
                phase, begin = run.phase(epoch)
                at = (epoch - begin) * steps + step
                _set_lr(run.optimiser, learning_rate(config, phase, steps, at))
                loss = shares.step(views.batch(curriculum.lessons(epoch, step), positions, epoch, step))
                run.optimiser.step()
                run.average(at)
                here = f"epoch {epoch + 1}, step {step + 1}"
                if not math.isfinite(loss):
                    raise _diverged(f"{here}: the loss became {loss}", config, checkpoints)
                if checkpoints and (step + 1 == steps or (config.checkpoint_steps and (step + 1) % config.checkpoint_steps == 0)):
                    if not run.finite:
                        raise _diverged(f"{here}: a weight is no longer a finite number", config, checkpoints)
                    after = Position(epoch + 1, 0) if step + 1 == steps else Position(epoch, step + 1)
                    checkpoints.save(after, supernet, run.optimiser, others=run.others)
                if progress:
                    progress(Progress(epoch, config.epochs, step, steps, loss))
    run.finish()


def learning_rate(config: TrainConfig, phase: Phase, steps: int, at: int) -> float:
    """Linear warm-up, then half a cosine (Loshchilov & Hutter 2017, arXiv 1608.03983); ``at`` counts steps from the phase's first on."""
    total, warmup = phase.epochs * steps, config.warmup_epochs * steps if phase.warmup else 0
    peak = config.lr * phase.lr
    if at < warmup:
        return peak * (at + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (at - warmup) / max(1.0, total - warmup)))


class _Run:
    """What a training changes: the weights and their optimiser, the teacher and the average where the recipe has them."""

    def __init__(self, supernet: Supernet, curriculum: Curriculum, config: TrainConfig) -> None:
        self.supernet, self.curriculum, self.decay = supernet.train(), curriculum, config.ema
        self.optimiser = _optimiser(supernet, config)
        self.begins = [0, *accumulate(phase.epochs for phase in curriculum.phases)][:-1]
        arch = curriculum.teacher
        self.teacher = None if arch is None else Teacher(deepcopy(supernet), arch)
        self.averaged = deepcopy(supernet) if config.ema else None
        found = {"teacher": None if self.teacher is None else self.teacher.net, "average": self.averaged}
        self.others: dict[str, nn.Module] = {name: net for name, net in found.items() if net is not None}

    @property
    def most_lessons(self) -> int:
        """How many lessons a step has at most."""
        return max(len(self.curriculum.lessons(begin, 0)) for begin in self.begins)

    def phase(self, epoch: int) -> tuple[Phase, int]:
        """The phase of an epoch, and its first epoch."""
        number = sum(begin <= epoch for begin in self.begins) - 1
        return self.curriculum.phases[number], self.begins[number]

    def enter(self, epoch: int) -> bool:
        """Begin the phase that ``epoch`` begins, if any: without moments, with sorted channels; whether there is a new teacher."""
        if epoch not in self.begins[1:]:
            return False
        self.finish()
        new = self.teacher is not None and epoch == self.begins[1]
        if new and self.teacher is not None:
            self.teacher.net.load_state_dict(self.supernet.state_dict())
        sort = self.phase(epoch)[0].sort
        if sort:
            sort_supernet(self.supernet, trained=sort)
        self.optimiser.state.clear()
        if self.averaged is not None:
            self.averaged.load_state_dict(self.supernet.state_dict())
        return new

    def average(self, at: int) -> None:
        """Take the weights after step ``at`` of the phase into their average, which forgets its start: the decay is small at first."""
        if self.averaged is None:
            return
        share = 1 - min(self.decay, (1 + at) / (10 + at))
        with torch.no_grad():
            for mean, value in zip(self.averaged.parameters(), self.supernet.parameters(), strict=True):
                mean.lerp_(value, share)

    def finish(self) -> None:
        """Leave the averaged weights as the result, where they are averaged."""
        if self.averaged is not None:
            self.supernet.load_state_dict(self.averaged.state_dict())

    @property
    def finite(self) -> bool:
        """Whether every weight is a finite number."""
        return all(bool(torch.isfinite(p).all()) for p in self.supernet.parameters())


def _diverged(what: str, config: TrainConfig, checkpoints: Checkpoints | None) -> TrainingDiverged:
    good = checkpoints.files() if checkpoints else []
    kept = f"; the last good checkpoint is {good[0]}" if good else ""
    return TrainingDiverged(f"{what}; set train.lr below {config.lr}{kept}")


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
