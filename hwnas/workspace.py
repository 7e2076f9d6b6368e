"""A workspace: the folder with ``hwnas.toml``, ``devices/``, ``latency_tables/`` and ``export/``. Everything in it is read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

import hwnas.profiler.adb
import hwnas.profiler.browser
import hwnas.profiler.local
import hwnas.profiler.ssh  # noqa: F401  (register their transports)
from hwnas.bounds import at_least
from hwnas.config import CONFIG, Config
from hwnas.core.access import AdbOptions, NativeOptions, SshOptions
from hwnas.core.device import Device, Fact
from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.core.registry import require_known, suggest
from hwnas.core.serial import STRICT, parse, read_toml
from hwnas.export.exporter import RUNTIME_FORMATS
from hwnas.profiler.channel import LAUNCHERS
from hwnas.recipe import Recipe
from hwnas.store.stages import Store


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
        at_least("threads", self.threads, 1)
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
