"""Why an architecture and not its neighbours: what every single choice brings and costs, exactly as the models say, all else equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import Architecture, Codes, Option, SearchSpace
from hwnas.search.limits import ratio
from hwnas.search.solver import Models

OUTCOMES = ("beaten", "over", "better")
"""A neighbour fits and is no more accurate; or it misses the budget or a limit; or it fits and is more accurate."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One choice at another option: how accuracy (a share) and latency (ms) would change, and what would come of the neighbour.

    ``activates`` names the choices that the move activates; they take their first options.
    """

    choice: str
    now: Option
    instead: Option
    arch: str
    accuracy_change: float
    latency_change_ms: float
    upper_ms: float
    outcome: str
    activates: tuple[str, ...]


def effects(models: Models, arch: Architecture, budget_ms: float) -> tuple[Effect, ...]:
    """Every single move away from ``arch``, choice by choice in the order of the space."""
    space = models.space
    codes, moved = _moves(space, arch.codes[0])
    together = np.concatenate([arch.codes, codes])
    accuracy = models.accuracy.predict(together).mean
    mean, upper = models.latency.predict(together).mean, models.latency.upper(together)
    kept = (upper <= budget_ms) & (ratio(models.limits, together) <= 1)
    active = space.active(together)
    found = []
    for row, (position, option) in enumerate(moved, start=1):
        choice = space.choices[position]
        outcome = "over" if not kept[row] else "better" if accuracy[row] > accuracy[0] else "beaten"
        new = np.flatnonzero(active[row] & ~active[0])
        found.append(
            Effect(
                choice=choice.name,
                now=choice.options[arch.indices[position]],
                instead=choice.options[option],
                arch=space.architecture(together[row]).id,
                accuracy_change=float(accuracy[row] - accuracy[0]),
                latency_change_ms=float(mean[row] - mean[0]),
                upper_ms=float(upper[row]),
                outcome=outcome,
                activates=tuple(space.choices[i].name for i in new),
            )
        )
    return tuple(found)


def _moves(space: SearchSpace, code: Codes) -> tuple[Codes, list[tuple[int, int]]]:
    """All neighbours by one active choice, ``(n, n_choices)``, with position and option of each."""
    active = space.active(code[None])[0]
    moved = [
        (position, option)
        for position in np.flatnonzero(active).tolist()
        for option in range(int(space.n_options[position]))
        if option != code[position]
    ]
    codes = np.repeat(code[None], len(moved), axis=0)
    for row, (position, option) in enumerate(moved):
        codes[row, position] = option
    return space.canonical(codes), moved


@dataclass(frozen=True, slots=True)
class Worth:
    """What a choice's present option brings over the cheapest of its others: accuracy (a share) for ms."""

    choice: str
    now: Option
    over: Option
    accuracy: float
    latency_ms: float
    points_per_ms: float


def worths(found: tuple[Effect, ...]) -> tuple[Worth, ...]:
    """Of every choice, against the option that would save most time; what brings most accuracy for its time comes first.

    A choice whose present option is the cheapest already costs nothing, and is left out.
    """
    cheapest: dict[str, Effect] = {}
    for effect in found:
        known = cheapest.get(effect.choice)
        if effect.latency_change_ms < (0.0 if known is None else known.latency_change_ms):
            cheapest[effect.choice] = effect
    listed = [
        Worth(e.choice, e.now, e.instead, -e.accuracy_change, -e.latency_change_ms, 100 * e.accuracy_change / e.latency_change_ms)
        for e in cheapest.values()
    ]
    return tuple(sorted(listed, key=lambda w: -w.points_per_ms))
