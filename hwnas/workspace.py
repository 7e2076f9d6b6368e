"""A workspace: the folder with ``hwnas.toml``, ``devices/``, ``latency_tables/`` and ``export/``. Everything in it is read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

import hwnas.profiler.adb
import hwnas.profiler.browser
import hwnas.profiler.local
import hwnas.profiler.ssh  # noqa: F401  (register their transports)
from hwnas.core.access import AdbOptions, NativeOptions, SshOptions
from hwnas.core.device import Device, Fact
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.core.registry import require_known, suggest
from hwnas.core.result import LatencyLimit
from hwnas.core.serial import STRICT, parse, read_toml
from hwnas.data import Limits
from hwnas.export.exporter import PRECISIONS, RUNTIME_FORMATS, require_precision
from hwnas.profiler.channel import LAUNCHERS
from hwnas.search.solver import SOLVERS
from hwnas.search.strategy import STRATEGIES
from hwnas.space.family import SpaceOptions, find_space
from hwnas.store.stages import Store
from hwnas.supernet.recipe import TrainConfig

CONFIG = "hwnas.toml"
BUDGET_STATISTICS = ("p50", "p90", "p99")
"""What a budget may be about."""
BUDGET_REGIMES = ("quiet", "typical")
"""The states of a device that are measured, and so those that a budget may be about."""


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least:g}, not {value:g}")


def _seed(value: int) -> None:
    if not 0 <= value < 2**32:
        raise ValueError(f"seed must be from 0 to {2**32 - 1}, not {value}")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share from 0 to 1, not {value:g}")


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
        _seed(self.seed)


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
        _at_least("networks", self.networks, 5)
        _at_least("min_repeats", self.min_repeats, 1)
        _at_least("max_seconds", self.max_seconds, 1)


@dataclass(frozen=True, slots=True)
class AccuracyConfig:
    """``[accuracy]``: subnets evaluated for the accuracy predictor, and images that recalibrate each one's batch norm."""

    subnets: int = 160
    recalibration_images: int = 512

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        _at_least("subnets", self.subnets, 10)
        _at_least("recalibration_images", self.recalibration_images, 2)


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """``[search]``: strategy, architectures looked at through the predictors, and how many of the best are evaluated for real."""

    strategy: str = "evolution"
    trials: int = 20_000
    candidates: int = 8

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        _at_least("trials", self.trials, 1)
        _at_least("candidates", self.candidates, 1)
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
        _seed(self.seed)


@dataclass(frozen=True, slots=True)
class Int8Limits:
    """``[int8]`` of a recipe: also make an 8-bit file, and what it may cost. Drops and agreements are shares (0.02 = two points)."""

    calibration_images: int = 256
    max_accuracy_drop: float = 0.02
    min_top1_agreement: float = 0.9

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        _at_least("calibration_images", self.calibration_images, 1)
        _share("max_accuracy_drop", self.max_accuracy_drop)
        _share("min_top1_agreement", self.min_top1_agreement)


@dataclass(frozen=True, slots=True)
class Recipe:
    """``export/recipes/<name>.toml``: what to deploy where, within which budgets."""

    device: str
    runtime: str
    budgets: tuple[str, ...]
    precision: str = "fp32"
    threads: int = 1
    statistic: str = "p50"
    regime: str = "quiet"
    int8: Int8Limits | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        _at_least("threads", self.threads, 1)
        if not self.budgets:
            raise ValueError('budgets is empty; give at least one, as in ["4ms"] or ["60%"]')
        require_known("runtime", self.runtime, RUNTIME_FORMATS)
        require_known("statistic", self.statistic, BUDGET_STATISTICS)
        require_known("regime", self.regime, BUDGET_REGIMES)
        require_known("precision", self.precision, PRECISIONS)
        for precision in (self.precision, *(["int8"] if self.int8 else [])):
            require_precision(RUNTIME_FORMATS[self.runtime], precision)
        seen: dict[LatencyLimit, str] = {}
        for text in self.budgets:
            limit = replace(LatencyLimit.parse(text), text="")
            if limit in seen:
                raise ValueError(f"budgets '{seen[limit]}' and '{text}' are the same; leave one out")
            seen[limit] = text

    @property
    def limits(self) -> tuple[LatencyLimit, ...]:
        """The budgets, parsed."""
        return tuple(LatencyLimit.parse(text) for text in self.budgets)


@dataclass(frozen=True, slots=True)
class _Descriptor:
    transport: str
    address: str = ""
    runtimes: tuple[str, ...] = ()
    threads: int = 1
    facts: Mapping[str, Fact] = field(default_factory=dict)
    ssh: SshOptions | None = None
    adb: AdbOptions | None = None
    native: NativeOptions | None = None
    cores: tuple[int, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        _at_least("threads", self.threads, 1)
        require_known("transport", self.transport, LAUNCHERS)
        for runtime in self.runtimes:
            require_known("runtime", runtime, RUNTIME_FORMATS)


@dataclass(frozen=True)
class Workspace:
    """A folder with a valid ``hwnas.toml``."""

    root: Path
    config: Config

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """The workspace at ``root``; a missing or wrong ``hwnas.toml`` raises `ConfigError`."""
        path = root / CONFIG
        if not path.is_file():
            raise ConfigError(f"{root}: no {CONFIG} here; run 'hwnas init' or give --workspace")
        return cls(root, parse(Config, read_toml(path), where=str(path)))

    @property
    def store(self) -> Store:
        """What runs keep."""
        return Store(self.root / "runs")

    @property
    def accepted_tables(self) -> Path:
        """Tables that were reviewed and accepted."""
        return self.root / "latency_tables"

    @cached_property
    def devices(self) -> Mapping[str, Device]:
        """All device descriptors by id, which is the file's name."""
        return {path.stem: device_from(read_toml(path), path) for path in sorted((self.root / "devices").glob("*.toml"))}

    def device(self, name: str) -> Device:
        """One device; an unknown id raises `UnknownNameError` with a suggestion."""
        if name not in self.devices:
            raise UnknownNameError(f"unknown device '{name}' in {self.root / 'devices'}; {suggest(name, self.devices)}")
        return self.devices[name]

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """All recipes by name, with device and runtime checked."""
        found = {}
        for path in sorted((self.root / "export" / "recipes").glob("*.toml")):
            recipe = parse(Recipe, read_toml(path), where=str(path))
            try:
                device = self.device(recipe.device)
            except UnknownNameError as problem:
                raise UnknownNameError(f"{path}: {problem}") from None
            if device.runtimes and recipe.runtime not in device.runtimes:
                raise ConfigError(
                    f"{path}: device '{device.id}' has no runtime '{recipe.runtime}'; {suggest(recipe.runtime, device.runtimes)}"
                )
            _require_measured(recipe, device, path)
            found[path.stem] = recipe
        return found


def _require_measured(recipe: Recipe, device: Device, path: Path) -> None:
    if device.native is None:
        return
    for name, value, known in (("regime", recipe.regime, device.regimes), ("statistic", recipe.statistic, device.statistics)):
        if value not in known:
            raise ConfigError(
                f"{path}: {name} '{value}' is not measured on '{device.id}', where {device.native.tool} measures;"
                f' write {name} = "{known[0]}"'
            )
    if recipe.runtime != device.native.runtime:
        raise ConfigError(f"{path}: {device.native.tool} on '{device.id}' measures '{device.native.runtime}', not '{recipe.runtime}'")


def device_from(table: Mapping[str, object], path: Path) -> Device:
    """What the TOML table of a descriptor at ``path`` describes; wrong ones raise `ConfigError`."""
    read = parse(_Descriptor, table, where=str(path))
    try:
        ssh = (read.ssh or SshOptions()).beside(path.parent.resolve()) if read.ssh or read.transport == "ssh" else None
        native = read.native and read.native.beside(path.parent.resolve())
        runtimes = read.runtimes or ((native.runtime,) if native else ())
        return Device(
            path.stem,
            read.transport,
            read.address,
            runtimes,
            read.threads,
            read.facts,
            ssh,
            adb=read.adb,
            native=native,
            cores=read.cores,
        )
    except ConfigError as problem:
        raise ConfigError(f"{path}: {problem}") from None
