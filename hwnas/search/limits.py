"""Limits beside the latency budget: what an architecture may cost otherwise (parameters, memory, the latency of another device).

A limit is on a sum over parts of the network, or on the largest of its parts; the latter says the same as that no part is above it, which
is a sum again: so whatever searches sums exactly can keep both kinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import Codes
from hwnas.core.errors import ConfigError
from hwnas.core.predict import Floats

Cost = Callable[[Codes], Floats]


@dataclass(frozen=True, slots=True)
class Largest:
    """What makes a maximum over parts a sum: all ``levels`` that a part has, ascending, and how many parts are ``above`` one of them."""

    levels: Floats
    above: Callable[[Codes, float], Floats]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that an architecture costs, ``(n, n_choices) -> (n,)``, in ``unit``; ``largest`` is None for a sum over parts."""

    name: str
    unit: str
    cost: Cost
    largest: Largest | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so much of a resource; a limit that is no finite number above 0 raises `ConfigError`."""

    resource: Resource
    at_most: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.at_most) and self.at_most > 0):
            raise ConfigError(f"the limit of {self.resource.name} must be a finite number above 0, not {self.at_most}")

    @property
    def hard(self) -> bool:
        """Whether the limit is on the largest part: each part then keeps it or not by itself."""
        return self.resource.largest is not None

    def parts(self, codes: Codes) -> Floats:
        """A sum over parts, ``(n,)``, that is at most `parts_at_most` exactly where the limit is kept."""
        largest = self.resource.largest
        return self.resource.cost(codes) if largest is None else largest.above(codes, self.at_most)

    @property
    def parts_at_most(self) -> float:
        """How large `parts` may be."""
        return 0.0 if self.hard else self.at_most


def ratio(limits: Sequence[Limit], codes: Codes) -> Floats:
    """How much of the tightest limit each architecture uses, ``(n,)``: above 1 where one is missed, 0 where there is none."""
    worst = np.zeros(len(codes))
    for limit in limits:
        np.maximum(worst, limit.resource.cost(codes) / limit.at_most, out=worst)
    return worst


def amount(value: float, unit: str) -> str:
    """A number as people read it: ``3.21 M``, ``512 kB``, ``2.5 ms``; rounded up, so that what is shown is enough."""
    if unit not in ("", "B"):
        return f"{math.ceil(value * 1e4) / 1e4:.4f} {unit}"
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{math.ceil(value / factor * 1e4) / 1e4:g} {prefix}{unit}"
    return f"{math.ceil(value):d} {unit}".rstrip()
