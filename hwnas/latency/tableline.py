"""One line of a table's file: what is said of a measurement, so that reviewers need not open the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from hwnas.core.device import QUANTILES, Measurement
from hwnas.core.serial import STRICT, plain

_DECIMALS = 6
_TOLERANCE_MS = 2e-6
_OF_NETWORKS = ("space", "codes")


@dataclass(frozen=True, slots=True)
class Line:
    """Quantiles where there are samples; mean and standard deviation where a mean was published; ``space`` and ``codes`` of a network."""

    n: int
    ci95_ms: tuple[float, float] | None
    rejected: int | None = None
    p10_ms: float | None = None
    p25_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    mean_ms: float | None = None
    std_ms: float | None = None
    space: str | None = None
    codes: tuple[int, ...] | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def summary(measurement: Measurement) -> dict[str, Any]:
    """The fields of the line of ``measurement`` by name; what it does not have is left out."""
    said = measurement.published
    if said is not None:
        ends = None if said.std_ms is None else [_rounded(end) for end in said.interval_ms()]
        return {"n": said.count, "mean_ms": _rounded(said.mean_ms), "std_ms": _rounded(said.std_ms), "ci95_ms": ends}
    quantiles = np.quantile(np.asarray(measurement.samples_ms), list(QUANTILES.values()))
    return {
        "n": len(measurement.samples_ms),
        "rejected": measurement.rejected,
        **{f"{name}_ms": _rounded(value) for name, value in zip(QUANTILES, quantiles, strict=True)},
        "ci95_ms": [_rounded(end) for end in measurement.interval_ms("p50")],
        "load_ms": _rounded(measurement.load_ms),
        "first_ms": _rounded(measurement.first_ms),
    }


def _rounded(value_ms: float | None) -> float | None:
    """To the nanosecond, which is what clocks give."""
    return None if value_ms is None else round(float(value_ms), _DECIMALS)


def difference(line: Line, measurement: Measurement) -> str | None:
    """What ``line`` says otherwise than ``measurement`` gives, in words; None where it says the same."""
    if not measurement.samples_ms and measurement.published is None:
        return "has no samples"
    given = summary(measurement)
    for name, said in plain(line).items():
        if name not in _OF_NETWORKS and not _same(said, given.get(name)):
            return f"says {name} {said}, its samples give {given.get(name)}"
    return None


def _same(said: Any, given: Any) -> bool:
    if isinstance(given, list) and isinstance(said, list):
        return all(_same(a, b) for a, b in zip(said, given, strict=True))
    if isinstance(given, float) and isinstance(said, float):
        # the last digit of an interpolated quantile may differ from machine to machine
        return abs(said - given) <= _TOLERANCE_MS
    return bool(said == given)
