"""Chosen architectures side by side and as graphs, with the times of their blocks from the run's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hwnas.core.arch import Architecture, Block, SearchSpace
from hwnas.latency.table import LatencyTable
from hwnas.report.page.items import Box, Cell, Drawing, Grid
from hwnas.space.family import blocks_of, blockwise, family_of

MOST = 12
"""How many architectures a report draws."""


def side_by_side(chosen: Mapping[str, Mapping[str, Any]]) -> Grid:
    """A row a choice, a column an architecture by its label; rows in which they differ are marked."""
    names = sorted({name for choices in chosen.values() for name in choices})
    rows: list[tuple[Cell, ...]] = [(name, *(_option(choices.get(name)) for choices in chosen.values())) for name in names]
    marked = frozenset(number for number, row in enumerate(rows) if len(set(row[1:])) > 1)
    text = (
        f"{len(chosen)} architectures; of {len(rows)} choices {len(marked)} differ, which are marked. A dash is a choice that is not there."
    )
    return Grid("Chosen architectures side by side", ("choice", *chosen), rows, text, marked)


def _option(value: Any) -> Cell:
    return value if value is None or isinstance(value, (int, float)) else str(value)


def drawings(space: SearchSpace, chosen: Sequence[tuple[str, Architecture, LatencyTable | None]]) -> Iterator[Drawing]:
    """Each architecture once for every table that it is timed by."""
    seen: dict[tuple[str, str], None] = {}
    for label, arch, table in chosen:
        key = (arch.id, "" if table is None else table.label)
        if key in seen or len(seen) >= MOST:
            continue
        seen[key] = None
        yield _drawing(space, label, arch, table)


def _drawing(space: SearchSpace, label: str, arch: Architecture, table: LatencyTable | None) -> Drawing:
    blocks = blocks_of(space, arch)
    entries = {} if table is None else table.at_resolution(family_of(space).resolution(space, arch)).entries
    times = [entries[block.key].quantile_ms("p50") if block.key in entries else None for block in blocks]
    boxes = tuple(Box(_short(block), block.key, _stage(block), time) for block, time in zip(blocks, times, strict=True))
    said = [f"{family_of(space).describe(space, arch)}: {len(boxes)} blocks."]
    known = [(time, box) for time, box in zip(times, boxes, strict=True) if time is not None]
    if known:
        longest, box = max(known, key=lambda pair: pair[0])
        total = sum(time for time, _ in known)
        said.append(
            f"Boxes are as wide as their blocks take long; the longest, {box.key}, takes {100 * longest / total:.0f} % of their sum."
        )
    return Drawing(f"{label}: {arch.id}", " ".join(said), boxes)


def _stage(block: Block) -> str:
    channels, height, _ = block.in_shape
    return f"{channels} × {height}²"


def _short(block: Block) -> str:
    params = dict(block.params)
    if "k" in params and "mid" in params:
        ratio = int(params["mid"]) / block.in_shape[0]
        return f"k{params['k']} ×{ratio:.3g}{' se' if 'se' in params else ''}"
    return block.op


def heat_cells(table: LatencyTable, space: SearchSpace) -> list[tuple[str, int, int, float]]:
    """``(place, kernel, expand, ms)`` of a table's blocks at the space's largest resolution, in the order of the network."""
    _, largest = family_of(space).extremes(space)
    resolution = family_of(space).resolution(space, largest)
    entries = table.at_resolution(resolution).entries
    cells: dict[tuple[str, int, int], float] = {}
    for block in _vocabulary_at(space, largest):
        params = dict(block.params)
        if block.key in entries and "k" in params and "mid" in params:
            channels, height, _ = block.in_shape
            place = f"{channels}→{params['out']}, {height} px{'' if params.get('s', 1) == 1 else ', stride ' + str(params['s'])}"
            cells[place, int(params["k"]), round(int(params["mid"]) / channels)] = entries[block.key].quantile_ms("p50")
    return [(place, kernel, expand, ms) for (place, kernel, expand), ms in cells.items()]


def _vocabulary_at(space: SearchSpace, largest: Architecture) -> Iterator[Block]:
    """Every block that the largest architecture can have in place of its own, by one choice or by all alike, in chain order."""
    family = blockwise(space)
    words = family.vocabulary(space)
    kinds = [choice.name.rpartition(".")[2] for choice in space.choices]
    places: list[dict[int, None]] = []
    base = list(largest.indices)
    variants = {tuple(base)}
    for kind in dict.fromkeys(kinds):
        own = [i for i, name in enumerate(kinds) if name == kind and "." in space.choices[i].name and name != "depth"]
        options = max((len(space.choices[i].options) for i in own), default=0)
        variants |= {
            tuple(min(option, len(space.choices[i].options) - 1) if i in own else value for i, value in enumerate(variant))
            for variant in variants
            for option in range(options)
        }
    for variant in sorted(variants):
        ids = family.block_ids(space, space.architecture(variant).codes)[0]
        for position, word in enumerate(ids):
            places.extend({} for _ in range(position + 1 - len(places)))
            if word >= 0:
                places[position][int(word)] = None
    yield from (words[word] for place in places for word in place)
