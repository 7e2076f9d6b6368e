"""What is installed of what hwnas asks for: the requirements in its own metadata, held against the packages that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

DISTRIBUTION = "hwnas"
FOR_WORK_ON_IT = ("all", "dev", "docs")
"""Extras that a user never misses: the sum of the others, and what is for those who change hwnas."""

_REQUIREMENT = re.compile(r"""^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?([^;()]*)\)?\s*(?:;\s*extra\s*==\s*['"]([A-Za-z0-9_-]+)['"])?\s*$""")
_CLAUSE = re.compile(r"^\s*(>=|<=|==|!=|<|>)\s*([0-9][0-9.]*)\s*$")


@dataclass(frozen=True, slots=True)
class Package:
    """One requirement: ``wanted`` as the metadata writes it, ``found`` what is installed, or None; ``extra`` is empty for the core."""

    name: str
    wanted: str
    extra: str
    found: str | None

    @property
    def fits(self) -> bool:
        """Whether it is there in a version that hwnas allows."""
        return self.found is not None and allows(self.wanted, self.found)


def packages() -> tuple[Package, ...]:
    """Every requirement of hwnas and its extras, in the order of the metadata; empty where hwnas runs without having been installed."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return ()
    return tuple(_read(lines))


def _read(lines: Iterable[str]) -> Iterable[Package]:
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is None or match[1] == DISTRIBUTION or match[3] in FOR_WORK_ON_IT:
            continue
        yield Package(match[1], match[2].strip(), match[3] or "", _version(match[1]))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def allows(wanted: str, found: str) -> bool:
    """Whether version ``found`` keeps every clause of ``wanted`` (``>=1.2,<2``), by release numbers.

    PEP 440 has more forms than the metadata of hwnas: a clause of another form is taken as kept.
    """
    for clause in filter(None, wanted.split(",")):
        match = _CLAUSE.match(clause)
        if match is None:
            continue
        width = max(match[2].count("."), found.count(".")) + 1
        have, limit = _release(found, width), _release(match[2], width)
        kept = {">=": have >= limit, "<=": have <= limit, "==": have == limit, "!=": have != limit, "<": have < limit, ">": have > limit}
        if not kept[match[1]]:
            return False
    return True


def _release(version: str, width: int) -> tuple[int, ...]:
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else []
    return tuple([*parts, *[0] * width][:width])
