"""Limits as a user writes them: ``params=2M``, ``peak_memory=256kB``, ``size=60%``, ``pixel/litert=5ms``; ``pixel/litert`` alone means: the
budget itself, so that it holds on the worst of the devices."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import LatencyModel
from hwnas.core.registry import require_known
from hwnas.core.result import LatencyLimit
from hwnas.latency.footprint import UNITS, Footprint
from hwnas.search.limits import Largest, Limit, Resource
from hwnas.search.worst import WorstLatency
from hwnas.space.family import family_of

_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(%|[kKMG]i?B?|B)?\s*\Z")
_TIMES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "ki": 2.0**10, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


@dataclass(frozen=True, slots=True)
class Asked:
    """One limit as written: of a resource of the network, or of the latency on another ``device`` with a ``runtime``.

    ``amount`` is None where the budget itself is meant.
    """

    name: str
    amount: str | None
    device: str | None = None
    runtime: str | None = None

    @classmethod
    def parse(cls, text: str) -> Asked:
        """``NAME=AMOUNT``, ``DEVICE/RUNTIME=BUDGET`` or ``DEVICE/RUNTIME``; anything else raises `ConfigError`."""
        name, equals, amount = (part.strip() for part in text.partition("="))
        if "/" in name:
            device, _, runtime = name.partition("/")
            if amount:
                LatencyLimit.parse(amount)
            if device and runtime and bool(equals) == bool(amount):
                return cls(name, amount or None, device, runtime)
        elif name and amount:
            require_known("limit", name, UNITS)
            _amount(text, name, amount)
            return cls(name, amount)
        names = ", ".join(UNITS)
        raise ConfigError(f"limit {text!r}: NAME=AMOUNT is needed, as in params=2M, size=60% or DEVICE/RUNTIME=5ms; names: {names}")


Find = Callable[[str, str], tuple[LatencyModel, float]]
"""The latency model of a device and runtime, and what its largest subnet takes, ms."""


def worst_of(
    space: SearchSpace, model: LatencyModel, largest_ms: float, asked: Sequence[Asked], budgets: Sequence[str], find: Find
) -> LatencyModel:
    """``model``, or the worst of it and of the devices that are to keep the budget, too.

    Budgets in % are of each device's own largest subnet; together with budgets in ms they raise `ConfigError`.
    """
    others = [find(str(each.device), str(each.runtime)) for each in asked if each.device and each.amount is None]
    if not others:
        return model
    relative = {LatencyLimit.parse(text).relative for text in budgets}
    if len(relative) > 1:
        raise ConfigError("budgets for the worst of several devices are all in %, or none is: ms and shares differ from device to device")
    factors = [largest_ms / own_ms if relative == {True} else 1.0 for _, own_ms in others]
    return WorstLatency(space, (model, *(other for other, _ in others)), (1.0, *factors))


def limits_of(space: SearchSpace, asked: Sequence[Asked], precision: str, find: Find) -> tuple[Limit, ...]:
    """The limits with their amounts; shares are of what the largest subnet needs."""
    footprint = Footprint(space, precision)
    _, largest = family_of(space).extremes(space)
    limits = []
    for each in asked:
        if each.amount is None:
            continue
        if each.device:
            model, largest_ms = find(each.device, str(each.runtime))
            resource, at_most = Resource(each.name, "ms", model.upper), LatencyLimit.parse(each.amount).resolve_ms(largest_ms)
        else:
            resource = resource_of(footprint, each.name)
            value, relative = _amount(f"{each.name}={each.amount}", each.name, each.amount)
            at_most = value * float(resource.cost(largest.codes)[0]) if relative else value
        limits.append(Limit(resource, at_most))
    return tuple(limits)


def resource_of(footprint: Footprint, name: str) -> Resource:
    """A need of networks as something that can be limited."""
    largest = Largest(footprint.levels, footprint.above) if name == "peak_memory" else None
    return Resource(name, UNITS[name], lambda codes: footprint.cost(name, codes), largest)


def _amount(text: str, name: str, amount: str) -> tuple[float, bool]:
    """A number, and whether it is a share of the largest subnet's."""
    match = _AMOUNT.match(amount)
    unit = (match[2] or "") if match else ""
    if match is None or (unit.endswith("B") and UNITS[name] != "B"):
        words = "k, M or G" if UNITS[name] == "" else "B, kB, MB or MiB"
        raise ConfigError(f"limit {text!r}: a number above 0 is needed, perhaps with {words}, or % of the largest subnet's")
    value = float(match[1])
    if not (value > 0 and np.isfinite(value)):
        raise ConfigError(f"limit {text!r}: must be a finite number above 0")
    return (value / 100, True) if unit == "%" else (value * _TIMES[unit.removesuffix("B")], False)
