"""Recipes of weight sharing: which subnets a step trains, what each learns from, and how the steps fall into phases.

A curriculum is a value: its lessons are a function of seed, epoch and step, so that a run which goes on after a kill trains the same
subnets. A recipe is one class and one ``register`` line; the loop in `hwnas.supernet.train` knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Architecture, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.registry import Registry
from hwnas.space.family import family_of
from hwnas.space.moves import sample
from hwnas.supernet.recipe import TrainConfig

_DRAW = 1  # keeps these random numbers apart from those of the augmentation


@dataclass(frozen=True, slots=True)
class Lesson:
    """One subnet of a step, and how much of its loss each source of targets makes up.

    ``labels``: the images' labels; ``first``: what the first subnet of the step says of them; ``teacher``: what the largest subnet
    said of them as it was at the end of the first phase.
    """

    arch: Architecture
    labels: float = 1.0
    first: float = 0.0
    teacher: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Some epochs with a schedule of their own, whose peak is ``lr`` times the configured one.

    ``sort`` sorts the channels by importance before it, given how many expand ratios were trained by then (0 = not).
    """

    name: str
    epochs: int
    lr: float = 1.0
    warmup: bool = True
    sort: int = 0


class Curriculum(Protocol):
    """Says what each step trains."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Their epochs add up to those of the training."""
        ...

    @property
    def teacher(self) -> Architecture | None:
        """Whom lessons after the first phase learn from; None where no lesson has a teacher."""
        ...

    def lessons(self, epoch: int, step: int) -> tuple[Lesson, ...]:
        """What the step trains; its loss is reported by the first, which learns from the labels."""
        ...


@dataclass(frozen=True)
class Alone:
    """One architecture, trained by itself on the labels."""

    arch: Architecture
    epochs: int

    @property
    def phases(self) -> tuple[Phase, ...]:
        """A single one."""
        return (Phase("alone", self.epochs),)

    @property
    def teacher(self) -> None:
        """Nobody."""
        return

    def lessons(self, epoch: int, step: int) -> tuple[Lesson, ...]:  # noqa: ARG002 (the protocol's names)
        """The architecture."""
        return (Lesson(self.arch),)


@dataclass(frozen=True)
class Sandwich:
    """The largest learns from the labels; the smallest and some random ones from it (Yu et al. 2020, BigNAS, arXiv 2003.11142)."""

    space: SearchSpace
    config: TrainConfig
    seed: int

    @property
    def phases(self) -> tuple[Phase, ...]:
        """A single one."""
        return (Phase("sandwich", self.config.epochs),)

    @property
    def teacher(self) -> None:
        """Nobody: the largest teaches while it learns."""
        return

    @cached_property
    def _extremes(self) -> tuple[Architecture, Architecture]:
        return family_of(self.space).extremes(self.space)

    def lessons(self, epoch: int, step: int) -> tuple[Lesson, ...]:
        """The largest, the smallest and random ones."""
        smallest, largest = self._extremes
        codes = sample(self.space, self.config.random_subnets, _rng(self.seed, epoch, step))
        others = (smallest, *(self.space.architecture(code) for code in codes))
        return (Lesson(largest), *(Lesson(arch, labels=0.0, first=1.0) for arch in others))


@dataclass(frozen=True)
class SinglePath:
    """Uniformly random subnets, each learning from the labels (Guo et al. 2020, SPOS, arXiv 1904.00420).

    With ``teacher_epochs`` the largest is trained first, and they learn from it as much as from the labels.
    """

    space: SearchSpace
    config: TrainConfig
    seed: int

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The largest subnet where it is to teach, and the paths."""
        first = self.config.teacher_epochs
        if not first:
            return (Phase("single path", self.config.epochs),)
        return (Phase("largest", first), Phase("single path", self.config.epochs - first, lr=self.config.later_lr, warmup=False))

    @cached_property
    def teacher(self) -> Architecture | None:
        """The largest, where it was trained first."""
        return family_of(self.space).extremes(self.space)[1] if self.config.teacher_epochs else None

    def lessons(self, epoch: int, step: int) -> tuple[Lesson, ...]:
        """The largest while it is to become a teacher, then random ones."""
        if self.teacher is not None and epoch < self.config.teacher_epochs:
            return (Lesson(self.teacher),)
        codes = sample(self.space, self.config.random_subnets, _rng(self.seed, epoch, step))
        return tuple(Lesson(self.space.architecture(code), teacher=float(self.teacher is not None)) for code in codes)


ORDER = (("kernel", 2, 120), ("depth", 1, 25), ("depth", 2, 120), ("expand", 1, 25), ("expand", 2, 120))
"""Progressive shrinking's phases: which choices become free, by how many options below the largest, and the authors' epochs for it."""


@dataclass(frozen=True)
class Shrinking:
    """Progressive shrinking (Cai et al. 2020, Once-for-All, arXiv 1908.09791): kernels, depths and expand ratios become free in turn.

    First the largest subnet alone, who then teaches; phases share the other epochs as the authors' did. Channels are sorted by
    importance before each step of the expand ratios. Resolutions are free from the first phase of shrinking on.
    """

    space: SearchSpace
    config: TrainConfig
    seed: int

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The largest subnet, then `ORDER`."""
        lr = self.config.later_lr
        epochs = _parts(self.config.epochs - self.config.teacher_epochs, [epochs for _, _, epochs in ORDER])
        later = (
            Phase(f"{kind}, {below} below", n, lr=lr, warmup=False, sort=below if kind == "expand" else 0)
            for (kind, below, _), n in zip(ORDER, epochs, strict=True)
        )
        return (Phase("largest", self.config.teacher_epochs), *later)

    @cached_property
    def teacher(self) -> Architecture:
        """The largest subnet."""
        return family_of(self.space).extremes(self.space)[1]

    def lessons(self, epoch: int, step: int) -> tuple[Lesson, ...]:
        """The largest, or random ones of what is free by then, which learn from the labels and the teacher."""
        ends = list(accumulate(phase.epochs for phase in self.phases))
        if epoch < ends[0]:
            return (Lesson(self.teacher),)
        freed = sum(epoch >= end for end in ends)
        free = self.free(freed)
        drawn = _rng(self.seed, epoch, step).integers(0, free, size=(self.config.random_subnets, len(free)), dtype=np.int16)
        codes = self.space.canonical((self.space.n_options - free + drawn).astype(np.int16))
        return tuple(Lesson(self.space.architecture(code), teacher=1.0) for code in codes)

    def free(self, phase: int) -> NDArray[np.int16]:
        """Of how many options, the largest ones, each choice may take any in ``phase`` (1 to 5), ``(n_choices,)``."""
        below = dict.fromkeys(("kernel", "depth", "expand"), 0) | {kind: below for kind, below, _ in ORDER[:phase]}
        kinds = [choice.name.rpartition(".")[2] for choice in self.space.choices]
        options = self.space.n_options.tolist()
        return np.array([min(n, below.get(kind, n) + 1) for kind, n in zip(kinds, options, strict=True)], dtype=np.int16)


CURRICULA: Registry[Callable[[SearchSpace, TrainConfig, int], Curriculum]] = Registry("training recipe")
CURRICULA.register("sandwich", Sandwich)
CURRICULA.register("single-path", SinglePath)
CURRICULA.register("shrinking", Shrinking)


def curriculum_of(space: SearchSpace, config: TrainConfig, *, seed: int) -> Curriculum:
    """The curriculum that ``config.recipe`` names."""
    return CURRICULA.get(config.recipe)(space, config, seed)


def _rng(seed: int, epoch: int, step: int) -> np.random.Generator:
    return np.random.default_rng([seed, _DRAW, epoch, step])


def _parts(total: int, weights: list[int]) -> list[int]:
    """``total`` in whole parts of at least 1 in about these proportions (largest remainders)."""
    if total < len(weights):
        raise ConfigError(f"{total} epochs are too few for {len(weights)} phases")
    free, whole = total - len(weights), sum(weights)
    parts = [1 + free * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(free * weights[i] % whole), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts
