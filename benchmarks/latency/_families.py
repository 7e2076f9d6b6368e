"""Families of spaces that are known by published measurements alone: chains of one operation a layer, and lists of features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Architecture, Block, Codes, SearchSpace
from hwnas.core.errors import UnknownNameError
from hwnas.space.family import FAMILIES, Group, Preset, SpaceOptions

CHAIN, LISTED = "published-chain", "published-list"


class Listed:
    """Choices without a meaning for hwnas."""

    name = LISTED

    def presets(self) -> Sequence[Preset]:
        """None: these spaces come with their measurements."""
        return ()

    def space(self, name: str, options: SpaceOptions = SpaceOptions()) -> SearchSpace:  # noqa: B008, ARG002 (frozen; there is none)
        """There is none by name."""
        raise UnknownNameError(f"unknown space '{name}'")

    def resolution(self, space: SearchSpace, arch: Architecture) -> int:  # noqa: ARG002 (all are of one size)
        """Input height and width in pixels."""
        return space.input_shape[1]

    def describe(self, space: SearchSpace, arch: Architecture) -> str:
        """Choices and options."""
        return " ".join(f"{name}={value}" for name, value in space.values(arch.indices).items())

    def extremes(self, space: SearchSpace) -> tuple[Architecture, Architecture]:
        """All choices at their first and at their last option."""
        return space.architecture([0] * len(space.choices)), space.architecture([int(n) - 1 for n in space.n_options])


class Chain(Listed):
    """One operation a layer: a block is an operation in its layer."""

    name = CHAIN

    def vocabulary(self, space: SearchSpace) -> tuple[Block, ...]:
        """Layer by layer, every option."""
        return tuple(
            Block("layer", (1, 1, 1), (("layer", layer), ("kind", option)))
            for layer, choice in enumerate(space.choices)
            for option in choice.options
        )

    def block_ids(self, space: SearchSpace, codes: Codes) -> NDArray[np.int32]:
        """``(n, n_choices) int16 -> (n, n_choices) int32``."""
        starts = np.concatenate([[0], np.cumsum(space.n_options[:-1].astype(np.int64))])
        ids: NDArray[np.int32] = (codes + starts).astype(np.int32)
        return ids

    def groups(self, space: SearchSpace) -> tuple[Group, ...]:
        """One a layer."""
        return tuple(Group(choice.name, (position,)) for position, choice in enumerate(space.choices))


for family in (Listed(), Chain()):
    FAMILIES.register(family.name, family)
