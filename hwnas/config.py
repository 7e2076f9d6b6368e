"""``hwnas.toml``: what a workspace trains, measures and searches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict

from hwnas.bounds import at_least, seed_in_range
from hwnas.core.registry import require_known
from hwnas.core.serial import STRICT
from hwnas.data import Limits
from hwnas.search.solver import SOLVERS
from hwnas.search.strategy import STRATEGIES
from hwnas.space.family import SpaceOptions, find_space
from hwnas.supernet.predictor import FITTED
from hwnas.supernet.recipe import TrainConfig

CONFIG = "hwnas.toml"
SELECTIONS = ("spread", "informative")
"""How subnets to evaluate are chosen (`hwnas.pipeline.selection`)."""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """``[data]``: a built-in name, a folder of class folders, or an ``.npz``; ``seed`` splits a folder without parts.

    ``limits`` bounds how many images each part gives.
    """

    source: str
    seed: int = 0
    limits: Limits = field(default_factory=Limits)

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        seed_in_range(self.seed)


@dataclass(frozen=True, slots=True)
class SpaceConfig:
    """``[space]``: a preset, and perhaps some of its resolutions."""

    preset: str
    resolutions: tuple[int, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        find_space(self.preset, SpaceOptions(resolutions=self.resolutions))


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """``[profile]``: how many whole networks are measured beside the blocks, and how."""

    networks: int = 40
    min_repeats: int = 30
    max_seconds: float = 240.0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        at_least("networks", self.networks, 5)
        at_least("min_repeats", self.min_repeats, 1)
        at_least("max_seconds", self.max_seconds, 1)


@dataclass(frozen=True, slots=True)
class AccuracyConfig:
    """``[accuracy]``: the predictor, subnets evaluated for it, how they are chosen, and images that recalibrate each."""

    predictor: str = "mlp"
    selection: str = "spread"
    subnets: int = 160
    recalibration_images: int = 512

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        require_known("accuracy predictor", self.predictor, FITTED)
        require_known("selection of subnets", self.selection, SELECTIONS)
        at_least("subnets", self.subnets, 10)
        at_least("recalibration_images", self.recalibration_images, 2)


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """``[search]``: strategy, architectures looked at through the predictors, and how many of the best are evaluated for real."""

    strategy: str = "evolution"
    trials: int = 20_000
    candidates: int = 8

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        at_least("trials", self.trials, 1)
        at_least("candidates", self.candidates, 1)
        require_known("strategy", self.strategy, (*STRATEGIES, *SOLVERS))


@dataclass(frozen=True, slots=True)
class Config:
    """``hwnas.toml``."""

    data: DataConfig
    space: SpaceConfig
    seed: int = 0
    train: TrainConfig = field(default_factory=TrainConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    accuracy: AccuracyConfig = field(default_factory=AccuracyConfig)
    search: SearchConfig = field(default_factory=SearchConfig)

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        seed_in_range(self.seed)
