"""Search spaces as products of conditional categorical choices, and one architecture of one.

The flat choice vector is the narrow waist of hwnas: sampling, mutation, crossover and encoding are written once (`hwnas.space.moves`), and
a strategy never learns a family. Populations are integer arrays ``codes: (n, n_choices) int16`` in canonical form: an inactive choice is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import ConfigError, UnknownNameError
from hwnas.core.registry import suggest
from hwnas.core.serial import canonical_json, content_id

Codes = NDArray[np.int16]
Option = int | float | str
MAX_OPTIONS = 32_767


@dataclass(frozen=True, slots=True)
class Condition:
    """A choice counts only while ``choice`` (an earlier one) has one of ``options``."""

    choice: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One categorical decision, perhaps conditional on an earlier one."""

    name: str
    options: tuple[Option, ...]
    active_if: Condition | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.options) <= MAX_OPTIONS:
            raise ConfigError(f"choice '{self.name}' has {len(self.options)} options; 1 to {MAX_OPTIONS} are possible")
        if len(set(self.options)) != len(self.options):
            raise ConfigError(f"choice '{self.name}' lists an option twice")


@dataclass(frozen=True)
class SearchSpace:
    """A named space of a family: its choices, the largest input ``(C, H, W)`` and the family's constants (widths, strides, classes).

    ``constants`` is canonical JSON, so that the space stays hashable and its id covers everything that decides what a code means.
    """

    family: str
    name: str
    input_shape: tuple[int, int, int]
    choices: tuple[Choice, ...]
    constants: str = "{}"
    _index: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index: dict[str, int] = {}
        for position, choice in enumerate(self.choices):
            if choice.name in index:
                raise ConfigError(f"space '{self.name}' has two choices named '{choice.name}'")
            condition = choice.active_if
            if condition is not None and condition.choice not in index:
                raise ConfigError(f"choice '{choice.name}' depends on '{condition.choice}', which does not come before it")
            index[choice.name] = position
        object.__setattr__(self, "_index", index)

    def __hash__(self) -> int:
        return hash(self.id)  # kept, where hashing every choice again would make each use as a key slow

    @cached_property
    def id(self) -> str:
        """A hash of the content: two spaces with the same id mean the same by the same code."""
        return content_id([self.family, self.name, self.input_shape, self.choices, self.constants])

    def index(self, name: str) -> int:
        """Position of a choice; an unknown name raises `UnknownNameError`."""
        try:
            return self._index[name]
        except KeyError:
            raise UnknownNameError(f"space '{self.name}' has no choice '{name}'; {suggest(name, self._index)}") from None

    @cached_property
    def n_options(self) -> NDArray[np.int16]:
        """Number of options of every choice, ``(n_choices,)``."""
        return np.array([len(c.options) for c in self.choices], dtype=np.int16)

    @cached_property
    def size(self) -> int:
        """Exact number of distinct architectures (choices that are inactive do not count)."""
        children: dict[str, list[Choice]] = {}
        for choice in self.choices:
            if choice.active_if is not None:
                children.setdefault(choice.active_if.choice, []).append(choice)

        def count(choice: Choice) -> int:
            total = 0
            for option in choice.options:
                product = 1
                for child in children.get(choice.name, []):
                    if child.active_if is not None and option in child.active_if.options:
                        product *= count(child)
                total += product
            return total

        product = 1
        for choice in self.choices:
            if choice.active_if is None:
                product *= count(choice)
        return product

    @cached_property
    def _levels(self) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]], ...]:
        """Conditional choices by depth of their condition: positions, parents, and which of the parent's options allow each."""
        depth = np.zeros(len(self.choices), dtype=np.intp)
        levels: dict[int, list[tuple[int, int, Condition]]] = {}
        for position, choice in enumerate(self.choices):
            if choice.active_if is not None:
                parent = self._index[choice.active_if.choice]
                depth[position] = depth[parent] + 1
                levels.setdefault(int(depth[position]), []).append((position, parent, choice.active_if))
        built = []
        for _, members in sorted(levels.items()):
            allowed = np.zeros((len(members), int(self.n_options.max())), dtype=bool)
            for row, (_, parent, condition) in enumerate(members):
                allowed[row, : self.n_options[parent]] = [option in condition.options for option in self.choices[parent].options]
            built.append((np.array([m[0] for m in members]), np.array([m[1] for m in members]), allowed))
        return tuple(built)

    def active(self, codes: Codes) -> NDArray[np.bool_]:
        """Which choices count, ``(n, n_choices) int16 -> (n, n_choices) bool``."""
        mask = np.ones(codes.shape, dtype=bool)
        for level, (positions, parents, allowed) in enumerate(self._levels):
            allows = allowed.ravel().take(codes.take(parents, axis=1) + np.arange(0, allowed.size, allowed.shape[1]))
            # what the first level depends on always counts
            mask[:, positions] = allows & mask[:, parents] if level else allows
        return mask

    def canonical(self, codes: Codes) -> Codes:
        """The same architectures with every inactive choice 0, ``(n, n_choices) int16``."""
        return np.where(self.active(codes), codes, 0).astype(np.int16)

    def check(self, codes: Codes) -> None:
        """Raise `ConfigError` unless ``codes`` are canonical codes of this space."""
        if codes.ndim != 2 or codes.shape[1] != len(self.choices):
            raise ConfigError(f"space '{self.name}' has {len(self.choices)} choices; codes of shape {codes.shape} are not of it")
        if ((codes < 0) | (codes >= self.n_options)).any() or (codes != self.canonical(codes)).any():
            raise ConfigError(f"codes are outside space '{self.name}', or set a choice that is inactive")

    def values(self, code: Sequence[int] | Codes) -> dict[str, Option]:
        """Active choices of one architecture by name."""
        row = np.asarray(code, dtype=np.int16)[None]
        mask = self.active(row)[0]
        return {c.name: c.options[int(i)] for c, i, on in zip(self.choices, row[0], mask, strict=True) if on}

    def architecture(self, code: Sequence[int] | Codes) -> Architecture:
        """One row of codes as a value, brought into canonical form."""
        row = np.asarray(code, dtype=np.int64)[None]
        if row.shape != (1, len(self.choices)) or ((row < 0) | (row >= self.n_options)).any():
            raise ConfigError(f"{row[0].tolist()} is not an architecture of space '{self.name}'")
        return Architecture(self.id, tuple(int(i) for i in self.canonical(row.astype(np.int16))[0]))

    def parse(self, values: Mapping[str, Any]) -> Architecture:
        """An architecture from choice names and options; choices that stay inactive may be left out."""
        code = np.zeros(len(self.choices), dtype=np.int16)
        for name, option in values.items():
            position = self.index(name)
            options = self.choices[position].options
            if option not in options:
                raise ConfigError(f"choice '{name}' has no option {option!r}; it has {', '.join(map(repr, options))}")
            code[position] = options.index(option)
        return self.architecture(code)


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture of one space, in canonical form (inactive choices are 0)."""

    space_id: str
    indices: tuple[int, ...]

    @property
    def id(self) -> str:
        """A content hash, the same wherever and whenever it is made."""
        return content_id([self.space_id, self.indices])

    @property
    def codes(self) -> Codes:
        """``(1, n_choices) int16``."""
        return np.array([self.indices], dtype=np.int16)


@dataclass(frozen=True, slots=True)
class Block:
    """The unit of latency: an operation on an input ``(C, H, W)`` with parameters. ``key`` is readable and is the table's key."""

    op: str
    in_shape: tuple[int, int, int]
    params: tuple[tuple[str, Option], ...]

    @property
    def key(self) -> str:
        """``op-in16x32x32-name1-name2…``: channels first, parameters in their order, flags by name alone."""
        channels, height, width = self.in_shape
        words = [self.op, f"in{channels}x{height}x{width}"]
        words += [value if isinstance(value, str) else f"{name}{value}" for name, value in self.params]
        return "-".join(words)

    def get(self, name: str) -> Option:
        """The value of one parameter; a missing one raises ``KeyError``."""
        return dict(self.params)[name]


def constants_of(space: SearchSpace) -> dict[str, Any]:
    """The family's constants as a mapping."""
    import json

    value: dict[str, Any] = json.loads(space.constants)
    return value


def with_constants(**constants: Any) -> str:
    """The family's constants in the form that `SearchSpace` keeps."""
    return canonical_json(constants)
