"""Devices, how they are measured, and what a measurement is. Units are in the names; what was not measured is None, never zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from hwnas.core.errors import ConfigError
from hwnas.core.serial import STRICT

Fact = str | int | float | bool | None
QUANTILES = {"p10": 0.10, "p25": 0.25, "p50": 0.50, "p90": 0.90, "p99": 0.99}
REGIMES = ("quiet", "typical", "busy", "sustained")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class SshOptions:
    """``[ssh]`` of a device that is reached over ssh. Relative paths of ``key`` and ``known_hosts`` begin at the descriptor's folder.

    ``key`` is a private key's file, ``agent`` lets the user's ssh agent be asked for keys, ``jump`` names hosts to go through
    (``user@host:port``, several with commas), ``python`` is the interpreter on the device, ``folder`` where its work folders are made
    (relative to the user's home there), ``known_hosts`` the file with the pinned host keys.
    """

    key: str = ""
    agent: bool = False
    jump: str = ""
    python: str = "python3"
    folder: str = ".cache/hwnas"
    known_hosts: str = "known_hosts"

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        for name in ("python", "folder", "known_hosts"):
            if not getattr(self, name):
                raise ConfigError(f"{name} is empty; leave it out for its default")
        for name in ("key", "jump", "python", "folder", "known_hosts"):
            if not getattr(self, name).isprintable():
                raise ConfigError(f"{name} has control characters")

    def beside(self, folder: Path) -> SshOptions:
        """The same with paths of this machine made absolute, from ``folder``; ``~`` is the user's home."""
        try:
            key = str(folder / Path(self.key).expanduser()) if self.key else ""
            return replace(self, key=key, known_hosts=str(folder / Path(self.known_hosts).expanduser()))
        except RuntimeError as problem:
            raise ConfigError(f"a path begins with the home of an unknown user: {problem}") from None


@dataclass(frozen=True, slots=True)
class Device:
    """What a device is and how its agent comes to life: ``devices/<id>.toml``."""

    id: str
    transport: str
    address: str = ""
    runtimes: tuple[str, ...] = ()
    threads: int = 1
    facts: Mapping[str, Fact] = field(default_factory=dict)
    ssh: SshOptions | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads must be at least 1, not {self.threads}")
        if self.ssh is not None and self.transport != "ssh":
            raise ConfigError(f"[ssh] is for devices whose transport is 'ssh', not '{self.transport}'")


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """How models are measured.

    ``min_repeats`` samples between quiet probes end a model's turn. Where the ``max_seconds`` for all of them do not suffice for that,
    ``least_repeats`` are enough, with a wider interval; fewer are too few to be believed. A sample of a model that is quicker than
    ``min_sample_us`` is the mean of as many calls as last that long (at most 1 s); with 0 every sample is a single call.
    """

    warmup: int = 3
    min_repeats: int = 30
    least_repeats: int = 8
    min_total_ms: float = 2.0
    min_sample_us: float = 150.0
    max_rel_ci: float = 0.03
    max_seconds: float = 300.0
    cooldown_s: float = 0.0
    affinity: tuple[int, ...] = ()
    seed: int = 0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if (
            min(self.warmup, self.cooldown_s) < 0
            or min(self.min_repeats, self.least_repeats) < 1
            or min(self.max_seconds, self.max_rel_ci) <= 0
            or not 0 <= self.min_sample_us <= 1e6
        ):
            raise ConfigError(
                "a measuring plan needs warmup and cooldown_s >= 0, min_repeats and least_repeats >= 1, max_seconds and max_rel_ci > 0, "
                "min_sample_us from 0 to 1000000"
            )


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model on one device in one regime: the samples, and what was seen around them."""

    samples_ms: tuple[float, ...]
    rejected: int
    load_ms: float | None = None
    first_ms: float | None = None
    peak_memory_bytes: int | None = None
    energy_mj: float | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def quantile_ms(self, statistic: str) -> float:
        """The named quantile (p10 to p99) of the samples, in ms; linear interpolation."""
        if statistic not in QUANTILES:
            raise ConfigError(f"unknown statistic '{statistic}'; known: {', '.join(QUANTILES)}")
        if not self.samples_ms:
            raise ConfigError("a measurement without samples has no quantiles")
        return float(np.quantile(np.asarray(self.samples_ms), QUANTILES[statistic]))

    def interval_ms(self, statistic: str, *, confidence: float = 0.95) -> tuple[float, float]:
        """Distribution-free interval of the quantile from order statistics (Conover 1999, section 3.2), in ms.

        It needs no random numbers, so a stored interval can be recomputed anywhere. With too few samples for ``confidence`` it ends at the
        smallest or largest of them. Without samples it raises `ConfigError`.
        """
        value = self.quantile_ms(statistic)
        ordered = np.sort(np.asarray(self.samples_ms, dtype=np.float64))
        low, high = _ranks(len(ordered), QUANTILES[statistic], confidence)
        return min(float(ordered[low]), value), max(float(ordered[high]), value)


def samples_needed(statistic: str, *, confidence: float = 0.95) -> int:
    """How many samples `Measurement.interval_ms` needs for an interval of this quantile that has both ends: 6 for p50, 368 for p99."""
    extreme = max(QUANTILES[statistic], 1 - QUANTILES[statistic])
    return math.ceil(math.log((1 - confidence) / 2) / math.log(extreme))


@lru_cache(maxsize=1024)
def _ranks(n: int, quantile: float, confidence: float) -> tuple[int, int]:
    """0-based ranks of the two order statistics, from the binomial count of samples below the quantile."""
    k = np.arange(n + 1)
    steps = np.log(np.maximum(k[::-1], 1)[:-1]) - np.log(k[1:]) if n else np.zeros(0)
    log_choose = np.concatenate(([0.0], np.cumsum(steps)))
    below = np.cumsum(np.exp(log_choose + k * np.log(quantile) + (n - k) * np.log1p(-quantile)))
    tail = (1 - confidence) / 2
    low = int(np.searchsorted(below, tail, side="right")) - 1
    high = int(np.searchsorted(below, 1 - tail, side="left"))
    return max(low, 0), min(high, n - 1)
