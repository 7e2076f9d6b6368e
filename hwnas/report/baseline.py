"""What was accepted of a recipe once, and whether today's figures are surely worse.

``export/baselines/<recipe>.json`` is one of the files that a team reviews: `compare` holds a run's rows to it. A figure is worse only where
its interval says so: accuracies by the interval of the difference of two shares (Newcombe 1998, method 1), latencies where the intervals do
not meet within the limit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from hwnas.core.errors import ConfigError
from hwnas.core.serial import STRICT, parse, plain, write_atomic

SCHEMA = 1
Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Accepted:
    """The figures of one budget: a share, ms with a 95 % interval, bytes, and the subnet that had them."""

    accuracy_test: float
    measured_ms: float
    measured_ci_ms: tuple[float, float]
    size_bytes: int
    arch: str

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was accepted of one recipe: by budget as written, on which data, and with how many test images."""

    recipe: str
    dataset: str
    test_images: int
    targets: Mapping[str, Accepted]
    schema: int = SCHEMA

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema {self.schema} is not known here; this hwnas writes {SCHEMA}")
        if self.test_images < 1:
            raise ValueError("test_images must be at least 1")


@dataclass(frozen=True, slots=True)
class Allowed:
    """By what share a figure may be worse than its baseline before it counts, noise apart."""

    accuracy: float
    latency: float
    size: float


def path_of(root: Path, recipe: str) -> Path:
    """Where a workspace keeps the baseline of a recipe."""
    return root / "export" / "baselines" / f"{recipe}.json"


def read_baseline(path: Path) -> Baseline | None:
    """The baseline at ``path``, None where there is none; one of another shape raises `ConfigError`."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_bytes())
    except ValueError:
        raise ConfigError(f"{path}: is not JSON; restore it, or accept today's figures with 'hwnas ci --accept'") from None
    return parse(Baseline, value, where=str(path))


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write it so that `git diff` shows what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(plain(baseline), indent=1, sort_keys=True) + "\n")


def accepted(row: Mapping[str, Any]) -> Accepted:
    """What a row of a run would be held to from now on."""
    low, high = row["measured_ci_ms"]
    return Accepted(row["accuracy_test"], row["measured_ms"], (low, high), row["size_bytes"], row["arch"])


def compare(row: Mapping[str, Any], before: Accepted, allowed: Allowed, *, images: int, same_data: bool) -> tuple[str, ...]:
    """In which figures a row is surely worse than what was accepted, a line each.

    Accuracies on other data are not compared, nor is a latency that was not measured.
    """
    worse = []
    drop = before.accuracy_test - row["accuracy_test"]
    noise = Z_95 * math.sqrt(sum(p * (1 - p) / images for p in (before.accuracy_test, row["accuracy_test"])))
    if same_data and drop - noise > allowed.accuracy:
        worse.append(
            f"accuracy {100 * row['accuracy_test']:.2f} %, {100 * drop:.2f} points (± {100 * noise:.2f}) below the accepted "
            f"{100 * before.accuracy_test:.2f}"
        )
    low, high = row["measured_ci_ms"] or (0.0, 0.0)
    if low > before.measured_ci_ms[1] * (1 + allowed.latency):
        worse.append(
            f"latency {row['measured_ms']:.4f} ms ({low:.4f} to {high:.4f}), over the accepted {before.measured_ms:.4f} "
            f"(up to {before.measured_ci_ms[1]:.4f}) by more than {100 * allowed.latency:.0f} %"
        )
    if row["size_bytes"] > before.size_bytes * (1 + allowed.size):
        worse.append(f"size {row['size_bytes']} bytes, over the accepted {before.size_bytes} by more than {100 * allowed.size:.0f} %")
    return tuple(worse)
