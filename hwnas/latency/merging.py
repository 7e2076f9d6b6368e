"""Several tables of one context as one. What they say differently is never decided here: it is an error that names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hwnas.core.device import Fact
from hwnas.core.errors import TableError
from hwnas.latency.table import LatencyTable

IDENTITY = ("runtime_version", "cpu", "arch", "system", "statistic", "space")
"""Facts that timings depend on: where both tables know one, it must be the same."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Merged:
    """The table, and the facts that were left out because the tables say them differently."""

    table: LatencyTable
    left_out: tuple[str, ...]


def merge(tables: Sequence[LatencyTable]) -> Merged:
    """All that ``tables`` hold, as one; fewer than two, other contexts, devices or plans, and conflicts raise `TableError`."""
    if len(tables) < 2:
        raise TableError("at least two tables are needed to merge")
    first, left_out = tables[0], set[str]()
    for other in tables[1:]:
        other.require_like(first)
        if other.plan != first.plan:
            raise TableError(f"{first.label}: the tables were not measured by the same plan; profile again to have all blocks in one")
        overheads = [table.overhead for table in (first, other) if table.overhead is not None]
        if len(overheads) == 2 and overheads[0] != overheads[1]:
            raise TableError(f"{first.label}: 'overhead' is not the same in both tables; they are of two sessions, profile again")
        facts = _facts(first, other, left_out)
        first = replace(
            first,
            facts=facts,
            overhead=overheads[0] if overheads else None,
            entries=_union(first.label, first.entries, other.entries),
            networks=_union(first.label, first.networks, other.networks),
        )
    return Merged(first, tuple(sorted(left_out)))


def _union(label: str, one: Mapping[str, T], other: Mapping[str, T]) -> dict[str, T]:
    conflicts = sorted(key for key in one.keys() & other.keys() if one[key] != other[key])
    if conflicts:
        raise TableError(
            f"{label}: {len(conflicts)} of {len(one.keys() & other.keys())} that both tables have are not the same, first {conflicts[0]}; "
            "leave it out of one of them"
        )
    return {**one, **other}


def _facts(one: LatencyTable, other: LatencyTable, left_out: set[str]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for name in sorted({*one.facts, *other.facts} - left_out):
        said = [table.facts[name] for table in (one, other) if table.facts.get(name) is not None]
        if len(said) == 2 and said[0] != said[1]:
            if name in IDENTITY:
                raise TableError(f"{one.label}: {name} {said[0]} in one table, {said[1]} in another; such times do not belong together")
            left_out.add(name)
        else:
            facts[name] = said[0] if said else None
    return facts
