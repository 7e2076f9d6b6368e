"""When a fault of the campaign came, and what became of it: read from what the host left in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.profiling._faulthost import DELIVERED, JOURNAL


@dataclass(frozen=True, slots=True)
class Moment:
    """After so many results, or where that is 0, after so many seconds."""

    seconds: float
    results: int

    def has_come(self, seconds: float, folder: Path) -> bool:
        """Whether it is there, ``seconds`` after the host turned to the device."""
        return len(records(folder)) >= self.results if self.results else seconds >= self.seconds


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one fault. ``hit`` tells whether anything was there to be hit; the others are what must be 0."""

    transport: str
    kind: str
    moment: Moment
    hit: bool
    attempts: int
    seconds: float
    lost: int
    twice: int
    left: int
    different: int
    hung: bool
    errors: tuple[str, ...] = ()

    @property
    def wrong(self) -> int:
        """How many things are not as they should be."""
        return self.lost + self.twice + self.left + self.different + self.hung


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of a journal that are whole."""
    path = folder / JOURNAL
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def delivered(folder: Path) -> list[str]:
    """Keys of the models that a profile was given, in that order."""
    path = folder / DELIVERED
    return path.read_text().split() if path.exists() else []


def timings(folder: Path) -> dict[str, Any]:
    """What a journal has of each model."""
    return {record["key"]: _samples(record["regimes"]) for record in records(folder) if record["kind"] == "timing"}


def _samples(regimes: Mapping[str, Any]) -> dict[str, Any]:
    """What must not depend on how often a profile was resumed: all but the chunk that a model was in, and how long it took to load."""
    return {name: (found["samples_ms"], found["rejected"], found["facts"]["runs_per_sample"]) for name, found in regimes.items()}


def last_line(path: Path) -> str:
    """What a host said last."""
    return next((line for line in reversed(path.read_text(errors="replace").splitlines()) if line.strip()), "no word")
