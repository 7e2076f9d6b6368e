"""A published block table as a `LatencyTable`: which space it is of, and which of its resolutions it has all blocks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas.core.arch import SearchSpace
from hwnas.core.device import Fact, Measurement
from hwnas.core.errors import TableError
from hwnas.core.serial import content_id, sha256_file
from hwnas.latency.foreign import blocks_from
from hwnas.latency.foreignfile import read_rows
from hwnas.latency.table import LatencyTable, base_key
from hwnas.space.family import FAMILIES, Blockwise, SpaceOptions, blockwise, find_space

SPACE_FACT = "space"
RESOLUTIONS_FACT = "resolutions"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a published file does not say of itself: where its times were measured."""

    device: str
    runtime: str
    precision: str
    threads: int
    batch: int
    regime: str


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """The table, and rows that are of no block of any space here, in words."""

    table: LatencyTable
    unused: tuple[str, ...]


def import_table(
    paths: Sequence[Path], origin: Origin, *, unit: str = "ms", space: str | None = None, resolutions: Sequence[int] = ()
) -> ImportedTable:
    """The files at ``paths`` as one table; ``unit`` is that of YAML. Only rows of ``resolutions`` are taken, all unless given.

    The table is of ``space``, or of the one that has most of its blocks. Rows that cannot be, a resolution that is not there, and blocks
    of no space raise `TableError`.
    """
    rows = [row for path in paths for row in read_rows(path, unit=unit)]
    absent = set(resolutions) - {row.resolution for row in rows}
    if absent:
        there = ", ".join(str(r) for r in sorted({row.resolution for row in rows}))
        raise TableError(f"{paths[0]}: has no rows of {min(absent)} px; it has {there}")
    found = blocks_from([row for row in rows if not resolutions or row.resolution in resolutions])
    name = space or _space_of(found.entries, paths[0])
    whole = find_space(name)
    words = {block.key for block in blockwise(whole).vocabulary(whole)}
    strange = sorted({base_key(key) for key in found.entries} - words)
    if not words & found.entries.keys():
        raise TableError(f"{paths[0]}: no block of space '{name}' is in it; its first block is {strange[0]}")
    facts: dict[str, Fact] = {
        "source": ", ".join(path.name for path in paths),
        "source_sha256": sha256_file(paths[0]) if len(paths) == 1 else content_id([sha256_file(path) for path in paths]),
        "statistic": "mean",
        SPACE_FACT: name,
        RESOLUTIONS_FACT: " ".join(map(str, found.resolutions)),
    }
    table = LatencyTable(
        device=origin.device,
        runtime=origin.runtime,
        precision=origin.precision,
        threads=origin.threads,
        batch=origin.batch,
        regime=origin.regime,
        plan=None,
        facts=facts,
        overhead=None,
        entries={key: Measurement((), rejected=0, published=said) for key, said in found.entries.items()},
    )
    return ImportedTable(table, (*found.unused, *(f"{key} is no block of space '{name}'" for key in strange)))


def _space_of(entries: Mapping[str, object], path: Path) -> str:
    """The preset of any family that has most of the blocks; none of them raises `TableError`."""
    shared = {}
    for family in FAMILIES:
        maker = FAMILIES.get(family)
        for preset in maker.presets() if isinstance(maker, Blockwise) else ():
            space = maker.space(preset.name)
            shared[preset.name] = sum(block.key in entries for block in blockwise(space).vocabulary(space))
    best = max(shared, key=lambda name: shared[name], default="")
    if not shared.get(best):
        raise TableError(f"{path}: its blocks are of none of the spaces {', '.join(shared)}; the first is {min(entries)}")
    return best


def covered_space(table: LatencyTable, name: str) -> SearchSpace:
    """The preset ``name`` at those resolutions of which ``table`` has every block; if there is none, `TableError` names a missing block."""
    whole = find_space(name)
    sizes = [int(option) for option in whole.choices[whole.index("resolution")].options]
    at = {size: find_space(name, SpaceOptions(resolutions=(size,))) for size in sizes}
    missing = {size: table.missing(blockwise(space).vocabulary(space)) for size, space in at.items()}
    covered = tuple(size for size in sizes if not missing[size])
    if not covered:
        closest = min(sizes, key=lambda size: len(missing[size]))
        table.require_blocks(blockwise(at[closest]).vocabulary(at[closest]))
    return find_space(name, SpaceOptions(resolutions=covered))
