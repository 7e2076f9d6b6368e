"""Chains of stages whose blocks choose kernel and expand ratio, and whose stages choose a depth: choices, vocabulary and lookup, once.

The elastic scheme of Cai et al. 2020, Once-for-All (arXiv 1908.09791): depth d runs the first d blocks of a stage. Which blocks there are
is the family's to say; how a code names them is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Architecture, Block, Choice, Codes, Condition, SearchSpace
from hwnas.space.family import Group
from hwnas.space.slots import Slot, Slots


@dataclass(frozen=True, slots=True)
class Elastic:
    """What every block and every stage may choose; options ascend. ``depths`` are those of each stage."""

    kernels: tuple[int, ...]
    expands: tuple[int, ...]
    depths: tuple[tuple[int, ...], ...]

    def choices(self, resolutions: Sequence[int]) -> tuple[Choice, ...]:
        """Resolution, then stage by stage the depth and the kernel and expand ratio of each block."""
        choices = [Choice("resolution", tuple(resolutions))]
        for s, depths in enumerate(self.depths):
            choices.append(Choice(f"s{s}.depth", depths))
            for b in range(depths[-1]):
                deep = tuple(d for d in depths if d > b)
                condition = None if len(deep) == len(depths) else Condition(f"s{s}.depth", deep)
                choices.append(Choice(f"s{s}.b{b}.kernel", self.kernels, condition))
                choices.append(Choice(f"s{s}.b{b}.expand", self.expands, condition))
        return tuple(choices)

    def first_choices(self) -> tuple[int, ...]:
        """Where each stage's choices begin, and where the last one's end."""
        return tuple(int(i) for i in np.cumsum([1] + [1 + 2 * depths[-1] for depths in self.depths]))

    def slot(self, stage: int, position: int, ids: NDArray[np.int32]) -> Slot:
        """One block of a stage, ``ids (resolutions, kernels, expands)``: there where the stage is deep enough."""
        first = self.first_choices()[stage]
        runs = np.array([depth > position for depth in self.depths[stage]])[None, :, None, None]
        own = (0, first, first + 1 + 2 * position, first + 2 + 2 * position)
        return Slot(own, np.where(runs, ids[:, None], np.int32(-1)))

    def groups(self) -> tuple[Group, ...]:
        """One group a stage: its depth and its blocks' kernels and expands. The resolution is the whole network's."""
        first = self.first_choices()
        return tuple(Group(f"s{s}", tuple(range(first[s], first[s + 1]))) for s in range(len(self.depths)))

    def describe(self, space: SearchSpace, arch: Architecture) -> str:
        """Resolution, and for every stage its blocks as kernel x expand: ``32 px, 3x4 7x6, 5x3 3x3``."""
        values = space.values(arch.indices)
        stages = [
            " ".join(f"{values[f's{s}.b{b}.kernel']}x{values[f's{s}.b{b}.expand']}" for b in range(int(values[f"s{s}.depth"])))
            for s in range(len(self.depths))
        ]
        return f"{values['resolution']} px, {', '.join(stages)}"


@dataclass(frozen=True, slots=True)
class Parts:
    """All blocks at one resolution: what stands before and after the stages, and ``body(stage, position, kernel, expand)``."""

    front: tuple[Block, ...]
    body: Callable[[int, int, int, int], Block]
    back: tuple[Block, ...]


class Chain:
    """Vocabulary and position lookups of one space, computed once. ``parts`` gives the blocks at a resolution."""

    def __init__(self, space: SearchSpace, elastic: Elastic, parts: Callable[[int], Parts]) -> None:
        found: dict[str, Block] = {}

        def note(block: Block) -> str:
            found[block.key] = block
            return block.key

        sizes = [int(o) for o in space.choices[0].options]
        slots = [(s, b) for s, depths in enumerate(elastic.depths) for b in range(depths[-1])]
        keys = np.empty((len(sizes), len(slots), len(elastic.kernels), len(elastic.expands)), dtype=object)
        fronts, backs = [], []
        for r, resolution in enumerate(sizes):
            own = parts(resolution)
            for i, (s, b) in enumerate(slots):
                for k, kernel in enumerate(elastic.kernels):
                    for e, expand in enumerate(elastic.expands):
                        keys[r, i, k, e] = note(own.body(s, b, kernel, expand))
            fronts.append([note(block) for block in own.front])
            backs.append([note(block) for block in own.back])
        self.words = tuple(found[key] for key in sorted(found))
        position = {block.key: i for i, block in enumerate(self.words)}
        ids = np.vectorize(position.__getitem__, otypes=[np.int32])
        front, back = ([Slot((0,), column) for column in ids(np.array(ends, dtype=object)).T] for ends in (fronts, backs))
        body = [elastic.slot(s, b, ids(keys[:, i])) for i, (s, b) in enumerate(slots)]
        self._slots = Slots([*front, *body, *back], len(space.choices))

    def lookup(self, codes: Codes) -> NDArray[np.int32]:
        """``(n, n_choices) int16 -> (n, max_blocks) int32``: front, blocks stage by stage, back; -1 is no block."""
        return self._slots.lookup(codes)
