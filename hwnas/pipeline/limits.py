"""Limits as a user writes them: ``params=2M``, ``peak_memory=256kB``, ``size=60%``, ``pixel/litert=5ms``; ``pixel/litert`` alone means: the
budget itself, so that it holds on the worst of the devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.predict import LatencyModel
from hwnas.core.result import LatencyLimit
from hwnas.latency.amounts import parse_amount
from hwnas.latency.footprint import UNITS, Footprint
from hwnas.recipe import Recipe
from hwnas.search.limits import Largest, Limit, Resource
from hwnas.search.worst import WorstLatency
from hwnas.space.family import family_of


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
            parse_amount(name, amount)
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
            value, relative = parse_amount(each.name, each.amount)
            at_most = value * float(resource.cost(largest.codes)[0]) if relative else value
        limits.append(Limit(resource, at_most))
    return tuple(limits)


def resource_of(footprint: Footprint, name: str) -> Resource:
    """A need of networks as something that can be limited."""
    largest = Largest(footprint.levels, footprint.above) if name == "peak_memory" else None
    return Resource(name, UNITS[name], lambda codes: footprint.cost(name, codes), largest)


def recipe_limits(space: SearchSpace, recipe: Recipe) -> tuple[Limit, ...]:
    """The limits of a recipe's ``[limits]``, of its own precision."""

    def none(device: str, runtime: str) -> tuple[LatencyModel, float]:
        raise ConfigError(f"{device}/{runtime}: a recipe limits what its own network needs")

    return limits_of(space, [Asked.parse(text) for text in recipe.limits.texts], recipe.precision, none)


def needs(limits: Sequence[Limit], codes: Codes) -> dict[str, float]:
    """What the architecture ``codes: (1, n_choices)`` needs of everything that is limited, by name."""
    return {limit.resource.name: float(limit.resource.cost(codes)[0]) for limit in limits}
