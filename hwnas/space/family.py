"""The protocols of a family of search spaces, and the registry of families.

A family is a product of conditional categorical choices. One whose latency decomposes into a chain of blocks is also `Blockwise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Architecture, Block, Codes, SearchSpace
from hwnas.core.errors import ConfigError
from hwnas.core.registry import Registry


@dataclass(frozen=True, slots=True)
class Preset:
    """A named space of a family, for ``hwnas spaces``."""

    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class SpaceOptions:
    """What a workspace sets on a preset: the data's channels and classes, and a subset of the preset's resolutions (empty = all)."""

    channels: int | None = None
    classes: int | None = None
    resolutions: tuple[int, ...] = ()

    def applied(self, name: str, *, channels: int, classes: int, resolutions: tuple[int, ...]) -> SpaceOptions:
        """These options where they are set, and what the preset ``name`` has otherwise; what it cannot be raises `ConfigError`."""
        unknown = set(self.resolutions) - set(resolutions)
        if unknown:
            raise ConfigError(f"space '{name}' has no resolution {min(unknown)}; it has {', '.join(map(str, resolutions))}")
        channels = channels if self.channels is None else self.channels
        classes = classes if self.classes is None else self.classes
        if channels < 1 or classes < 2:
            raise ConfigError(f"space '{name}' needs at least 1 channel and 2 classes")
        return SpaceOptions(channels, classes, tuple(sorted(self.resolutions or resolutions)))


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive choices whose cost depends on themselves, on the choices of no group (resolution), and on the group before."""

    name: str
    choices: tuple[int, ...]


class SpaceFamily(Protocol):
    """Makes spaces by name."""

    name: str

    def presets(self) -> Sequence[Preset]:
        """The named spaces, in the order to show them."""
        ...

    def space(self, name: str, options: SpaceOptions = SpaceOptions()) -> SearchSpace:
        """The preset ``name`` with ``options``; unknown names raise `UnknownNameError`."""
        ...

    def resolution(self, space: SearchSpace, arch: Architecture) -> int:
        """Input height and width of an architecture, in pixels."""
        ...

    def describe(self, space: SearchSpace, arch: Architecture) -> str:
        """An architecture in a few words, for tables."""
        ...

    def extremes(self, space: SearchSpace) -> tuple[Architecture, Architecture]:
        """The smallest and the largest architecture."""
        ...


@runtime_checkable
class Blockwise(Protocol):
    """A family whose networks are chains of blocks."""

    def vocabulary(self, space: SearchSpace) -> tuple[Block, ...]:
        """Every distinct block of every architecture, sorted by key."""
        ...

    def block_ids(self, space: SearchSpace, codes: Codes) -> NDArray[np.int32]:
        """Positions in the vocabulary in chain order, ``(n, n_choices) int16 -> (n, max_blocks) int32``; -1 is no block."""
        ...

    def groups(self, space: SearchSpace) -> tuple[Group, ...]:
        """Groups in chain order; choices of no group are whole-network choices."""
        ...


@runtime_checkable
class Cellwise(Protocol):
    """A family whose networks repeat a cell: a small graph that does not decompose into a chain."""

    def representative(self, space: SearchSpace, codes: Codes) -> Codes:
        """The same networks, isomorphic ones with the same codes, ``(n, n_choices) int16 -> (n, n_choices) int16``."""
        ...

    def executed(self, space: SearchSpace, codes: Codes) -> dict[str, NDArray[np.float64]]:
        """Counts of executed operations, ``(n, n_operations)``, by the name of a way in which runtimes treat a graph."""
        ...

    def connected(self, space: SearchSpace, codes: Codes) -> NDArray[np.bool_]:
        """Whether the input reaches the output, ``(n,)``."""
        ...


FAMILIES: Registry[SpaceFamily] = Registry("space family")


def family_of(space: SearchSpace) -> SpaceFamily:
    """The family that made ``space``."""
    return FAMILIES.get(space.family)


def blockwise(space: SearchSpace) -> Blockwise:
    """The family of ``space`` as `Blockwise`; one that is not raises `ConfigError`."""
    family = family_of(space)
    if not isinstance(family, Blockwise):
        raise ConfigError(f"space '{space.name}': the latency of family '{space.family}' does not decompose into blocks")
    return family


def blocks_of(space: SearchSpace, arch: Architecture) -> tuple[Block, ...]:
    """The blocks of one architecture, in chain order."""
    family = blockwise(space)
    words = family.vocabulary(space)
    return tuple(words[i] for i in family.block_ids(space, arch.codes)[0] if i >= 0)


def find_space(name: str, options: SpaceOptions = SpaceOptions(), *, family: str | None = None) -> SearchSpace:
    """A preset of any family by its name; an unknown one raises `UnknownNameError` with a suggestion."""
    known: Registry[str] = Registry("space")
    for each in [family] if family else FAMILIES.names():
        for preset in FAMILIES.get(each).presets():
            known.register(preset.name, each)
    return FAMILIES.get(known.get(name)).space(name, options)
