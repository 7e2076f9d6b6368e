"""What the two files of a latency table hold: the table's JSON, how it is rendered, and the document of its raw samples.

Values and text only; `hwnas.latency.tablefile` reads, compares and writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from hwnas.core.device import Fact, Measurement, MeasurePlan
from hwnas.core.serial import STRICT, canonical_json, plain
from hwnas.latency.table import LatencyTable
from hwnas.latency.tableline import Line, summary

VERSION = 2
SECTIONS = ("entries", "networks")
_LATER = ("min_sample_us", "statistic", "heat_s")
"""Fields of a plan that were added since; their defaults must stay what they are."""


@dataclass(frozen=True, slots=True)
class TableDocument:
    """``<stem>.json``."""

    version: Literal[1, 2]
    sha256: str
    samples_sha256: str
    device: str
    runtime: str
    precision: str
    threads: int
    batch: int
    regime: str
    plan: MeasurePlan | None
    facts: Mapping[str, Fact]
    overhead: Line | None
    entries: Mapping[str, Line]
    networks: Mapping[str, Line]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class SamplesDocument:
    """``<stem>.samples.json.gz``, uncompressed."""

    version: Literal[1, 2]
    overhead: Measurement | None
    entries: Mapping[str, Measurement]
    networks: Mapping[str, Measurement]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def version_of(table: LatencyTable) -> int:
    """The oldest version of the format that can hold ``table``."""
    measured = [*table.entries.values(), *(network.measurement for network in table.networks.values())]
    measured += [] if table.overhead is None else [table.overhead]
    return 2 if table.plan is None or any(m.published is not None for m in measured) else 1


def document_of(table: LatencyTable, samples_sha256: str) -> dict[str, Any]:
    """``table`` as its JSON has it, in that order, with the hash of its content."""
    networks = {
        key: {**summary(network.measurement), "space": network.arch.space_id, "codes": list(network.arch.indices)}
        for key, network in sorted(table.networks.items())
    }
    document = {
        "version": version_of(table),
        "sha256": "",
        "samples_sha256": samples_sha256,
        **table.context,
        "plan": None if table.plan is None else _plan(table.plan),
        "facts": dict(sorted(table.facts.items())),
        "overhead": None if table.overhead is None else summary(table.overhead),
        "entries": {key: summary(table.entries[key]) for key in sorted(table.entries)},
        "networks": networks,
    }
    return {**document, "sha256": content_hash(document)}


def _plan(plan: MeasurePlan) -> dict[str, Any]:
    """A field that version 1 did not begin with is left out at its default, so that a table written again keeps its bytes."""
    fields: dict[str, Any] = plain(plan)
    return {name: value for name, value in fields.items() if name not in _LATER or value != getattr(MeasurePlan(), name)}


def content_hash(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything but the hash itself."""
    return hashlib.sha256(canonical_json({k: v for k, v in document.items() if k != "sha256"}).encode()).hexdigest()


def render(document: Mapping[str, Any]) -> str:
    """The file's text: one line a key, and one line an entry."""
    parts = []
    for key, value in document.items():
        if key in SECTIONS and value:
            lines = ",\n".join(f"{_dump(name)}: {_dump(value[name])}" for name in value)
            parts.append(f"{_dump(key)}: {{\n{lines}\n}}")
        else:
            parts.append(f"{_dump(key)}: {_dump(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def samples_json(table: LatencyTable) -> bytes:
    """The raw samples of ``table``, as canonical JSON."""
    value = {
        "version": version_of(table),
        "overhead": None if table.overhead is None else _raw(table.overhead),
        "entries": {key: _raw(measurement) for key, measurement in table.entries.items()},
        "networks": {key: _raw(network.measurement) for key, network in table.networks.items()},
    }
    return canonical_json(value).encode()


def _raw(measurement: Measurement) -> dict[str, Any]:
    """Version 1 knows no published means."""
    fields: dict[str, Any] = plain(measurement)
    return {name: value for name, value in fields.items() if name != "published" or value is not None}
