"""What is known of constraints before a search: their range over the space, and which share of the space keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import SearchSpace
from hwnas.core.predict import Floats
from hwnas.search.feasible import begun
from hwnas.search.least import least, lowest
from hwnas.search.limits import Cost, Resource, ratio
from hwnas.search.solver import Models
from hwnas.space.moves import sample

SAMPLE = 4096
"""Architectures that medians and shares are of, every choice drawn uniformly."""


@dataclass(frozen=True, slots=True)
class Range:
    """One constraint: what the space costs at least, in the median and at most, and the share of its architectures within ``at_most``.

    ``exact``: the least and the most are certain; otherwise they are what was found.
    """

    name: str
    unit: str
    at_most: float
    minimum: float
    median: float
    maximum: float
    share: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Preflight:
    """A row for every budget and limit, and the share of the space that keeps a budget and all limits, by budget."""

    rows: tuple[Range, ...]
    together: tuple[float, ...]


def preflight(models: Models, budgets_ms: Sequence[float], *, seed: int = 0) -> Preflight:
    """The ranges of all constraints; where nothing keeps them all, `InfeasibleError`."""
    begun(models, budgets_ms)
    space = models.space
    codes = sample(space, SAMPLE, np.random.default_rng(seed))
    upper = models.latency.upper(codes)
    quickest = float(models.latency.upper(models.latency.minimum())[0])
    slowest, exact = _most(space, models.latency.upper, upper)
    rows = [_range(models.latency.label, "ms", budget_ms, (quickest, slowest, exact), upper) for budget_ms in budgets_ms]
    for limit in models.limits:
        resource = limit.resource
        cost = resource.cost(codes)
        smallest, certain = lowest(space, resource)
        largest, certain_too = _highest(space, resource, cost)
        rows.append(_range(resource.name, resource.unit, limit.at_most, (smallest, largest, certain and certain_too), cost))
    kept = ratio(models.limits, codes) <= 1
    return Preflight(tuple(rows), tuple(float((kept & (upper <= budget_ms)).mean()) for budget_ms in budgets_ms))


def _range(name: str, unit: str, at_most: float, reach: tuple[float, float, bool], sampled: Floats) -> Range:
    low, high, exact = reach
    return Range(name, unit, at_most, low, float(np.median(sampled)), high, float((sampled <= at_most).mean()), exact)


def _highest(space: SearchSpace, resource: Resource, sampled: Floats) -> tuple[float, bool]:
    if resource.largest is not None:
        # some architecture has the largest part
        return float(resource.largest.levels[-1]), True
    return _most(space, resource.cost, sampled)


def _most(space: SearchSpace, cost: Cost, sampled: Floats) -> tuple[float, bool]:
    """The most that a cost can be, and whether that is certain."""
    found = least(space, lambda codes: -cost(codes))
    if found is None:
        return float(sampled.max()), False
    return max(-found.cost, float(sampled.max())), found.exact
