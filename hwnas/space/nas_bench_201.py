"""The cell space of NAS-Bench-201: a cell of four nodes, one of five operations on each of its six edges.

Dong & Yang 2020 (arXiv 2001.00326). The cell is repeated fifteen times in a fixed skeleton, so a network does not decompose into blocks of
a chain. What decides its latency is which operations are executed, and that is a matter of the runtime: one that executes a graph as it is
written runs all of them, a compiler leaves out those that no output needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.core.arch import Architecture, Choice, Codes, SearchSpace, with_constants
from hwnas.core.errors import ConfigError
from hwnas.core.registry import require_known
from hwnas.space.family import FAMILIES, Preset, SpaceOptions

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target node of every edge, in the order of the published strings."""
_PRESET = "nas-bench-201"
_INNER = 2
"""Position of the edge between the two inner nodes: without it they can change places."""
_SWAPPED = (1, 0, 2, 3, 5, 4)
_WORD = re.compile(r"([a-z0-9_]+)~(\d)")


class NasBench201:
    """The family; registered as ``nas_bench_201``."""

    name = "nas_bench_201"

    def presets(self) -> Sequence[Preset]:
        """The published space."""
        return [Preset(_PRESET, "NAS-Bench-201: cells of six edges (CIFAR-10), for latency alone")]

    def space(self, name: str, options: SpaceOptions = SpaceOptions()) -> SearchSpace:  # noqa: B008 (frozen)
        """The published space; its resolution is fixed."""
        require_known("space", name, [_PRESET])
        if options.resolutions not in ((), (32,)):
            raise ConfigError(f"space '{name}' has no resolution {options.resolutions[0]}; it has 32")
        channels, classes = options.channels or 3, options.classes or 10
        choices = tuple(Choice(f"n{target}.from{source}.op", OPERATIONS) for source, target in EDGES)
        return SearchSpace(self.name, name, (channels, 32, 32), choices, with_constants(channels=channels, classes=classes))

    def resolution(self, space: SearchSpace, arch: Architecture) -> int:  # noqa: ARG002 (all are of one size)
        """Input height and width in pixels."""
        return space.input_shape[1]

    def describe(self, space: SearchSpace, arch: Architecture) -> str:  # noqa: ARG002 (one space)
        """The published string of a cell: ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…|``."""
        words = [f"{OPERATIONS[i]}~{source}" for i, (source, _) in zip(arch.indices, EDGES, strict=True)]
        return f"|{words[0]}|+|{words[1]}|{words[2]}|+|{words[3]}|{words[4]}|{words[5]}|"

    def extremes(self, space: SearchSpace) -> tuple[Architecture, Architecture]:
        """A lone skip connection from input to output, and a 3x3 convolution on every edge."""
        lone = [1 if edge == (0, 3) else 0 for edge in EDGES]
        return space.architecture(lone), space.architecture([OPERATIONS.index("nor_conv_3x3")] * len(EDGES))

    def representative(self, space: SearchSpace, codes: Codes) -> Codes:
        """The same cells, isomorphic ones alike, ``(n, 6) int16 -> (n, 6) int16``.

        Nodes without an edge between them change places; edges that do not end in the output's reach stay, because a runtime may execute
        them.
        """
        space.check(codes)
        swapped = codes[:, _SWAPPED]
        radix = np.int64(len(OPERATIONS)) ** np.arange(len(EDGES))
        swap = (codes[:, _INNER] == 0) & (swapped @ radix < codes @ radix)
        return np.where(swap[:, None], swapped, codes).astype(np.int16)

    def working(self, space: SearchSpace, codes: Codes) -> Codes:
        """The same cells with ``none`` on every edge that is on no path from input to output, ``(n, 6) int16 -> (n, 6) int16``.

        Such an edge computes nothing that the output depends on, and is trained in vain.
        """
        space.check(codes)
        on = codes > 0
        reached = np.zeros((2, len(codes), EDGES[-1][1] + 1), dtype=bool)
        reached[0, :, 0] = reached[1, :, -1] = True
        for position, (source, target) in enumerate(EDGES):
            reached[0, :, target] |= reached[0, :, source] & on[:, position]
        for position in reversed(range(len(EDGES))):
            source, target = EDGES[position]
            reached[1, :, source] |= reached[1, :, target] & on[:, position]
        sources, targets = (list(ends) for ends in zip(*EDGES, strict=True))
        return np.where(reached[0][:, sources] & reached[1][:, targets], codes, 0).astype(np.int16)

    def executed(self, space: SearchSpace, codes: Codes) -> dict[str, NDArray[np.float64]]:
        """How many of each operation a cell executes, ``(n, 6) int16 -> (n, 4)`` (``none`` is not one), by how a runtime treats it.

        ``written``: all of them. ``needed``: those that the output depends on.
        """
        space.check(codes)
        on = codes > 0
        reaches = np.zeros((len(codes), EDGES[-1][1] + 1), dtype=bool)
        reaches[:, -1] = True
        for position in reversed(range(len(EDGES))):
            source, target = EDGES[position]
            reaches[:, source] |= reaches[:, target] & on[:, position]
        needed = on & reaches[:, [target for _, target in EDGES]]
        return {"written": _counts(codes), "needed": _counts(np.where(needed, codes, 0))}

    def connected(self, space: SearchSpace, codes: Codes) -> NDArray[np.bool_]:
        """Whether the input reaches the output, ``(n, 6) -> (n,)``: a network that is none does nothing."""
        space.check(codes)
        reached = np.zeros((len(codes), EDGES[-1][1] + 1), dtype=bool)
        reached[:, 0] = True
        for position, (source, target) in enumerate(EDGES):
            reached[:, target] |= reached[:, source] & (codes[:, position] > 0)
        return reached[:, -1]


def parse_cell(space: SearchSpace, text: str) -> Architecture:
    """The architecture of a published string; one that is not of this space raises `ConfigError`."""
    words = _WORD.findall(text)
    if [int(source) for _, source in words] != [source for source, _ in EDGES] or any(word not in OPERATIONS for word, _ in words):
        raise ConfigError(f"'{text}' is not a cell of space '{space.name}'")
    return space.architecture([OPERATIONS.index(word) for word, _ in words])


def _counts(codes: Codes) -> NDArray[np.float64]:
    return np.stack([(codes == kind).sum(axis=1) for kind in range(1, len(OPERATIONS))], axis=1).astype(np.float64)


FAMILIES.register("nas_bench_201", NasBench201())
