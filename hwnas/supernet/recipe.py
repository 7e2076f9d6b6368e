"""How a supernet is trained, as values; knows no torch, so that a configuration can be checked where torch is not installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from hwnas.core.errors import ConfigError
from hwnas.core.serial import STRICT


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """``[train]`` of a workspace: the sandwich rule with in-place distillation (`hwnas.supernet.train`).

    ``lr`` is the peak that ``warmup_epochs`` lead up to and a half cosine leads down from. In every step ``random_subnets`` are trained
    beside the largest and the smallest. ``shift`` is the reach of the random shift as a share of the image's height. Each of ``threads``
    processes takes an equal share of every batch. ``checkpoint_steps`` adds checkpoints inside an epoch (0 = at its end only).
    """

    epochs: int = 10
    batch: int = 96
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    random_subnets: int = 1
    flip: bool = True
    shift: float = 0.07
    threads: int = 2
    checkpoint_steps: int = 0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch", 2), ("random_subnets", 0), ("threads", 1), ("checkpoint_steps", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"train.{name} must be at least {low}, not {getattr(self, name)}")
        if self.batch < 2 * self.threads:
            raise ConfigError(
                f"train.batch of {self.batch} gives each of {self.threads} threads less than the at least 2 images that it needs"
            )
        if not self.lr > 0:
            raise ConfigError(f"train.lr must be above 0, not {self.lr}")
        for name in ("weight_decay", "warmup_epochs"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name} must not be negative, not {getattr(self, name)}")
        for name in ("momentum", "label_smoothing", "shift"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"train.{name} must be at least 0 and below 1, not {getattr(self, name)}")
