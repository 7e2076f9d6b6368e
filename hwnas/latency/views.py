"""What a predictor sees of a network when no block table tells: counts of what is executed, and of what was chosen.

A *view* turns codes into features, the first of which is the constant 1. A space of cells has one view for every way in which runtimes
treat a graph, and which of them a device follows shows in its measurements. Any other space has a single one: for each group of choices
and each kind of choice how often each option is chosen, and once more multiplied with the area of the input where the space has
resolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats
from hwnas.space.family import Cellwise, family_of

View = Callable[[Codes], Floats]
RESOLUTION = "resolution"


def views(space: SearchSpace) -> Mapping[str, View]:
    """The views of a space by name; each is ``(n, n_choices) int16 -> (n, p) float64``, and codes of another space raise `ConfigError`."""
    family = family_of(space)
    if isinstance(family, Cellwise):
        names = tuple(family.executed(space, np.zeros((1, len(space.choices)), dtype=np.int16)))
        return {name: _with_constant(space, partial(_executed, family, space, name)) for name in names}
    return {"chosen": _with_constant(space, lambda codes: _chosen(space, codes))}


def _with_constant(space: SearchSpace, view: View) -> View:
    def features(codes: Codes) -> Floats:
        space.check(codes)
        own = view(codes)
        return np.concatenate([np.ones((len(own), 1)), own], axis=1)

    return features


def _executed(family: Cellwise, space: SearchSpace, name: str, codes: Codes) -> Floats:
    return family.executed(space, codes)[name]


def _chosen(space: SearchSpace, codes: Codes) -> Floats:
    """Counts of options by group and kind of choice: ``s0.b1.kernel`` is of group ``s0`` and kind ``kernel``."""
    active = space.active(codes)
    columns: dict[tuple[str, str, object], Floats] = {}
    area = np.ones(len(codes))
    for position, choice in enumerate(space.choices):
        if choice.name == RESOLUTION:
            sizes = np.array([float(size) for size in choice.options])
            area = (sizes / sizes.max())[codes[:, position]] ** 2
            continue
        words = choice.name.split(".")
        for index, option in enumerate(choice.options):
            key = (words[0], words[-1], option)
            columns[key] = columns.get(key, np.zeros(len(codes))) + (active[:, position] & (codes[:, position] == index))
    counts = np.stack(list(columns.values()), axis=1)
    if all(choice.name != RESOLUTION for choice in space.choices):
        return counts
    return np.concatenate([counts, area[:, None], counts * area[:, None]], axis=1)
