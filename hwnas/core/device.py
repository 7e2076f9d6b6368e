"""Devices, how they are measured, and what a measurement is. Units are in the names; what was not measured is None, never zero."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from hwnas.core.access import AdbOptions, NativeOptions, SshOptions
from hwnas.core.errors import ConfigError
from hwnas.core.serial import STRICT

Fact = str | int | float | bool | None
QUANTILES = {"p10": 0.10, "p25": 0.25, "p50": 0.50, "p90": 0.90, "p99": 0.99}
REGIMES = ("quiet", "typical", "busy", "sustained")
MAX_CORES = 1024
PRECISIONS = ("fp32", "fp16", "bf16", "int8", "int8_dynamic", "mixed")


@dataclass(frozen=True, slots=True)
class Device:
    """What a device is and how its agent comes to life: ``devices/<id>.toml``.

    ``cores`` are those that models run on; the last ones unless named.
    """

    id: str
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
        if self.threads < 1:
            raise ConfigError(f"threads must be at least 1, not {self.threads}")
        if self.native is not None and set(self.runtimes) - {self.native.runtime}:
            raise ConfigError(
                f"{self.native.tool} measures '{self.native.runtime}' and no other runtime; runtimes name {list(self.runtimes)}"
            )
        named = set(self.cores)
        if named and (len(named) != len(self.cores) or not named <= set(range(MAX_CORES)) or len(named) < self.threads):
            raise ConfigError(
                f"cores {list(self.cores)} must be distinct numbers from 0 to {MAX_CORES - 1},"
                f" as many as there are threads ({self.threads}) or more"
            )
        if self.ssh is not None and self.transport != "ssh":
            raise ConfigError(f"[ssh] is for devices whose transport is 'ssh', not '{self.transport}'")
        if self.adb is not None and self.transport != "adb":
            raise ConfigError(f"[adb] is for devices whose transport is 'adb', not '{self.transport}'")
        if self.transport == "adb" and not (self.address.isprintable() and " " not in self.address):
            raise ConfigError(f"address {self.address!r} is no serial number; 'adb devices' shows them")

    @property
    def is_page(self) -> bool:
        """Whether the agent is a page that somebody opens there."""
        return self.transport == "browser" or (self.adb is not None and self.adb.agent == "browser")

    @property
    def answers(self) -> bool:
        """Whether an agent can be asked at any time what the device is: not a page, which somebody has to open, nor a benchmark program."""
        return self.native is None and not self.is_page

    @property
    def regimes(self) -> tuple[str, ...]:
        """States in which models are measured there, the one that stands for the device first: a benchmark program knows no quiet."""
        return ("quiet", "typical") if self.native is None else ("typical",)

    @property
    def statistics(self) -> tuple[str, ...]:
        """What budgets there may be about: a benchmark program tells no tails."""
        return ("p50", "p90", "p99") if self.native is None else ("p50",)


@dataclass(frozen=True, slots=True)
class MeasurePlan:
    """How models are measured.

    A model's turn ends when it has ``min_repeats`` samples between quiet probes and the 95 % interval of its ``statistic`` lies within
    ``max_rel_ci`` of it (0.03 is 3 % on either side), or when it has four times as many and the interval is still wider. Where the
    ``max_seconds`` for all of them do not suffice for that, ``least_repeats`` are enough; fewer are too few to be believed. A sample of a
    model that is quicker than ``min_sample_us`` is the mean of as many calls as last that long (at most 1 s); with 0 every sample is a
    single call. With ``heat_s`` the device is heated for at most that long first, and then measured without regard to quiet: the regime
    ``sustained``.
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
    statistic: str = "p50"
    heat_s: float = 0.0

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.statistic not in QUANTILES:
            raise ConfigError(f"a measuring plan for the unknown statistic '{self.statistic}'; known: {', '.join(QUANTILES)}")
        if (
            min(self.warmup, self.cooldown_s, self.heat_s) < 0
            or min(self.min_repeats, self.least_repeats) < 1
            or min(self.max_seconds, self.max_rel_ci) <= 0
            or not 0 <= self.min_sample_us <= 1e6
        ):
            raise ConfigError(
                "a measuring plan needs warmup, cooldown_s and heat_s >= 0, min_repeats and least_repeats >= 1, max_seconds and "
                "max_rel_ci > 0, min_sample_us from 0 to 1000000"
            )


@dataclass(frozen=True, slots=True)
class Published:
    """What somebody says of samples that he did not publish: how many, their mean, and their standard deviation where he says it."""

    count: int
    mean_ms: float
    std_ms: float | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def interval_ms(self, *, confidence: float = 0.95) -> tuple[float, float]:
        """The interval of the mean by the normal law, in ms; without a standard deviation it is unknown, from 0 to infinity."""
        if self.std_ms is None:
            return 0.0, math.inf
        half = NormalDist().inv_cdf((1 + confidence) / 2) * self.std_ms / math.sqrt(self.count)
        return max(self.mean_ms - half, 0.0), self.mean_ms + half


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model on one device in one regime: the samples, and what was seen around them.

    ``peak_memory_bytes`` is the growth of the process' resident memory from before the model was loaded to the peak of its first runs.
    ``energy_mj`` is the energy of one inference among many back to back, on the device's power rails with all that they feed.
    ``published`` stands in for samples that nobody published: its mean is taken for the median, and no other quantile is known.
    """

    samples_ms: tuple[float, ...]
    rejected: int
    load_ms: float | None = None
    first_ms: float | None = None
    peak_memory_bytes: int | None = None
    energy_mj: float | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    published: Published | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def count(self) -> int:
        """How many samples there were."""
        return len(self.samples_ms) if self.published is None else self.published.count

    def quantile_ms(self, statistic: str) -> float:
        """The named quantile (p10 to p99) of the samples, in ms; linear interpolation."""
        if statistic not in QUANTILES:
            raise ConfigError(f"unknown statistic '{statistic}'; known: {', '.join(QUANTILES)}")
        if self.published is not None:
            if statistic != "p50":
                raise ConfigError(f"no {statistic} is known where only the mean was published; ask for p50, for which the mean is taken")
            return self.published.mean_ms
        if not self.samples_ms:
            raise ConfigError("a measurement without samples has no quantiles")
        return float(np.quantile(np.asarray(self.samples_ms), QUANTILES[statistic]))

    def half_width(self, statistic: str) -> float:
        """Half the width of the 95 % interval of the quantile, relative to it; infinite where the samples are too few for both ends."""
        if self.published is None and len(self.samples_ms) < samples_needed(statistic):
            return math.inf
        low, high = self.interval_ms(statistic)
        value = self.quantile_ms(statistic)
        return (high - low) / 2 / value if value > 0 else math.inf

    def interval_ms(self, statistic: str, *, confidence: float = 0.95) -> tuple[float, float]:
        """Distribution-free interval of the quantile from order statistics (Conover 1999, section 3.2), in ms.

        It needs no random numbers, so a stored interval can be recomputed anywhere. With too few samples for ``confidence`` it ends at the
        smallest or largest of them. Without samples it raises `ConfigError`; of a published mean it is that of `Published`.
        """
        value = self.quantile_ms(statistic)
        if self.published is not None:
            return self.published.interval_ms(confidence=confidence)
        low, high = quantile_interval(self.samples_ms, QUANTILES[statistic], confidence=confidence)
        return min(low, value), max(high, value)


def quantile_interval(values: Sequence[float], quantile: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """What `Measurement.interval_ms` gives, for any values."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    low, high = _ranks(len(ordered), quantile, confidence)
    return float(ordered[low]), float(ordered[high])


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
