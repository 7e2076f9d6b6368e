"""How a supernet is trained, as values; knows no torch, so that a configuration can be checked where torch is not installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from hwnas.core.errors import ConfigError
from hwnas.core.registry import require_known
from hwnas.core.serial import STRICT

RECIPES = ("sandwich", "shrinking", "single-path")
"""The names of the curricula that there are (`hwnas.supernet.curriculum`)."""
SHRINKING_STEPS = 5
"""In how many phases the choices of progressive shrinking become free; each takes at least an epoch."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """``[train]`` of a workspace: ``recipe`` names which subnets a step trains, and on what (`hwnas.supernet.curriculum`).

    ``lr`` is the peak that ``warmup_epochs`` lead up to and a half cosine leads down from. Every step trains ``random_subnets``: with
    ``sandwich`` beside the largest and the smallest. In the first ``teacher_epochs`` the largest is trained alone; the subnets after
    that learn from what it then says, too, at ``later_lr`` times ``lr``. ``shift`` is the reach of the random shift as a share of the
    image's height; ``mixup`` is the parameter of the beta distribution that pairs of images are mixed by (0 = not at all). With ``ema``
    above 0 the result is an average of the weights over steps that decays by it. Each of ``threads`` processes takes an equal share of
    every batch, in ``accumulate`` parts one after the other where memory is short. ``checkpoint_steps`` adds checkpoints inside an
    epoch (0 = at its end only).
    """

    recipe: str = "sandwich"
    epochs: int = 10
    batch: int = 96
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    random_subnets: int = 1
    teacher_epochs: int = 0
    later_lr: float = 0.3
    ema: float = 0.0
    flip: bool = True
    shift: float = 0.07
    mixup: float = 0.0
    threads: int = 2
    accumulate: int = 1
    checkpoint_steps: int = 0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        require_known("training recipe", self.recipe, RECIPES)
        low = {"epochs": 1, "batch": 2, "random_subnets": 0, "teacher_epochs": 0, "threads": 1, "accumulate": 1, "checkpoint_steps": 0}
        for name, least in low.items():
            if getattr(self, name) < least:
                raise ConfigError(f"train.{name} must be at least {least}, not {getattr(self, name)}")
        parts = self.threads * self.accumulate
        if self.batch < 2 * parts:
            of = f"{self.threads} threads" if self.accumulate == 1 else f"{parts} parts (threads times accumulate)"
            raise ConfigError(f"train.batch of {self.batch} gives each of {of} less than the at least 2 images that it needs")
        for name in ("lr", "later_lr"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"train.{name} must be above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "warmup_epochs", "mixup"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name} must not be negative, not {getattr(self, name)}")
        for name in ("momentum", "label_smoothing", "shift", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"train.{name} must be at least 0 and below 1, not {getattr(self, name)}")
        self._check_recipe()

    def _check_recipe(self) -> None:
        """What only some recipes can be given."""
        if self.recipe == "sandwich":
            if self.teacher_epochs:
                raise ConfigError(
                    "train.teacher_epochs: in the sandwich rule the largest subnet teaches while it learns; leave it out, or take"
                    " train.recipe = 'shrinking' or 'single-path'"
                )
            return
        if self.random_subnets < 1:
            raise ConfigError(f"train.random_subnets must be at least 1 with train.recipe = '{self.recipe}', not {self.random_subnets}")
        least = SHRINKING_STEPS if self.recipe == "shrinking" else 1
        if self.recipe == "shrinking" and not self.teacher_epochs:
            raise ConfigError("train.teacher_epochs must be at least 1 with train.recipe = 'shrinking': the largest subnet comes first")
        if self.epochs < self.teacher_epochs + least:
            raise ConfigError(
                f"train.epochs of {self.epochs} leaves less than {least} after train.teacher_epochs of {self.teacher_epochs}; set it higher"
            )
