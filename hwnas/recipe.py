"""``export/recipes/<name>.toml``: what is deployed where, within which budgets."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from pydantic import ConfigDict

from hwnas.bounds import at_least, share
from hwnas.core.device import PRECISIONS
from hwnas.core.registry import require_known
from hwnas.core.result import LatencyLimit
from hwnas.core.serial import STRICT
from hwnas.export.exporter import EIGHT_BITS, RUNTIME_FORMATS, parse_format, require_precision
from hwnas.export.ranges import RANGES
from hwnas.latency.amounts import parse_amount

BUDGET_STATISTICS = ("p50", "p90", "p99")
"""What a budget may be about."""
BUDGET_REGIMES = ("quiet", "typical")
"""The states of a device that are measured, and so those that a budget may be about."""


@dataclass(frozen=True, slots=True)
class Int8Limits:
    """``[int8]`` of a recipe: also make an 8-bit file, and what it may cost. Drops and agreements are shares (0.02 = two points).

    ``ranges`` is how the ranges of tensors are chosen (`hwnas.export.ranges`). Where the file costs more than it may, up to
    ``max_float_layers`` of its layers stay float, which makes it one of precision ``mixed``.
    """

    calibration_images: int = 256
    max_accuracy_drop: float = 0.02
    min_top1_agreement: float = 0.9
    ranges: str = "minmax"
    max_float_layers: int = 4

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        at_least("calibration_images", self.calibration_images, 1)
        share("max_accuracy_drop", self.max_accuracy_drop)
        share("min_top1_agreement", self.min_top1_agreement)
        require_known("ranges", self.ranges, RANGES)
        at_least("max_float_layers", self.max_float_layers, 0)


@dataclass(frozen=True, slots=True)
class BaselineLimits:
    """``[baseline]`` of a recipe: by what share figures may be worse than the accepted ones, beyond what their intervals leave open."""

    max_accuracy_drop: float = 0.0
    max_latency_growth: float = 0.05
    max_size_growth: float = 0.02

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        share("max_accuracy_drop", self.max_accuracy_drop)
        share("max_latency_growth", self.max_latency_growth)
        share("max_size_growth", self.max_size_growth)


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """``[limits]`` of a recipe: what its subnets may need besides time, as in ``params = "2M"`` or ``size = "60%"`` (of the largest's)."""

    params: str | None = None
    macs: str | None = None
    flops: str | None = None
    size: str | None = None
    peak_memory: str | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        for name, amount in self._given.items():
            parse_amount(name, amount)

    @property
    def _given(self) -> dict[str, str]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: amount for name, amount in named.items() if amount is not None}

    @property
    def texts(self) -> tuple[str, ...]:
        """Each limit as ``NAME=AMOUNT``."""
        return tuple(f"{name}={amount}" for name, amount in self._given.items())


@dataclass(frozen=True, slots=True)
class Weights:
    """``[weights]`` of a recipe: a supernet that is not trained here. ``path`` (from the workspace) or ``url``, and the file's SHA-256."""

    sha256: str
    path: str = ""
    url: str = ""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if bool(self.path) == bool(self.url):
            raise ValueError("give either path or url")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError("sha256 must be 64 digits of 0-9 and a-f, as sha256sum prints them")
        if self.url and not re.fullmatch(r"https?://[^/\s]+/\S*", self.url):
            raise ValueError(f"url must be one of http or https, not '{self.url}'")

    @property
    def source(self) -> str:
        """Where they are."""
        return self.path or self.url


@dataclass(frozen=True, slots=True)
class Recipe:
    """``export/recipes/<name>.toml``: what to deploy where, within which budgets.

    ``formats`` are written beside the file that is timed, as ``onnx:fp16`` or ``pt2``, and held to what their precision allows.
    ``allow_unmeasured``: files may ship from ``hwnas ci`` where the device cannot be reached, held to an accepted table's prediction alone.
    """

    device: str
    runtime: str
    budgets: tuple[str, ...]
    precision: str = "fp32"
    threads: int = 1
    statistic: str = "p50"
    regime: str = "quiet"
    formats: tuple[str, ...] = ()
    limits: NetworkLimits = NetworkLimits()
    int8: Int8Limits | None = None
    baseline: BaselineLimits = BaselineLimits()
    allow_unmeasured: bool = False
    weights: Weights | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        at_least("threads", self.threads, 1)
        if not self.budgets:
            raise ValueError('budgets is empty; give at least one, as in ["4ms"] or ["60%"]')
        require_known("runtime", self.runtime, RUNTIME_FORMATS)
        require_known("statistic", self.statistic, BUDGET_STATISTICS)
        require_known("regime", self.regime, BUDGET_REGIMES)
        require_known("precision", self.precision, PRECISIONS)
        for precision in (self.precision, *(["int8"] if self.int8 else [])):
            require_precision(RUNTIME_FORMATS[self.runtime], precision)
        self._check_formats()
        seen: dict[LatencyLimit, str] = {}
        for text in self.budgets:
            limit = replace(LatencyLimit.parse(text), text="")
            if limit in seen:
                raise ValueError(f"budgets '{seen[limit]}' and '{text}' are the same; leave one out")
            seen[limit] = text

    def _check_formats(self) -> None:
        own = RUNTIME_FORMATS[self.runtime]
        there = [(own, self.precision)]
        if self.int8 and self.precision not in EIGHT_BITS:
            there.append((own, "int8"))
        for text in self.formats:
            one = parse_format(text)
            if one in there:
                raise ValueError(f"formats: '{text}' is written anyway, or stands there twice; leave it out")
            there.append(one)

    @property
    def latency_limits(self) -> tuple[LatencyLimit, ...]:
        """The budgets, parsed."""
        return tuple(LatencyLimit.parse(text) for text in self.budgets)
