"""What the two files of a latency table hold: which lines a table's JSON has, how it is rendered, and the document of its raw samples.

Values and text only; `hwnas.latency.tablefile` reads, compares and writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict

from hwnas.core.device import QUANTILES, Fact, Measurement, MeasurePlan
from hwnas.core.serial import STRICT, canonical_json, plain
from hwnas.latency.table import LatencyTable

VERSION = 1
SECTIONS = ("entries", "networks")
_DECIMALS = 6
_LATER = ("min_sample_us", "statistic", "heat_s")
"""Fields of a plan that were added since; their defaults must stay what they are."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a table says of one model; networks have their ``space`` and ``codes`` as well."""

    n: int
    rejected: int
    p10_ms: float
    p25_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    ci95_ms: tuple[float, float]
    load_ms: float | None
    first_ms: float | None
    space: str | None = None
    codes: tuple[int, ...] | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class TableDocument:
    """``<stem>.json``."""

    version: Literal[1]
    sha256: str
    samples_sha256: str
    device: str
    runtime: str
    precision: str
    threads: int
    batch: int
    regime: str
    plan: MeasurePlan
    facts: Mapping[str, Fact]
    overhead: Line | None
    entries: Mapping[str, Line]
    networks: Mapping[str, Line]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class SamplesDocument:
    """``<stem>.samples.json.gz``, uncompressed."""

    version: Literal[1]
    overhead: Measurement | None
    entries: Mapping[str, Measurement]
    networks: Mapping[str, Measurement]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def summary(measurement: Measurement) -> dict[str, Any]:
    """The fields of a `Line` that its samples give."""
    quantiles = np.quantile(np.asarray(measurement.samples_ms), list(QUANTILES.values()))
    return {
        "n": len(measurement.samples_ms),
        "rejected": measurement.rejected,
        **{f"{name}_ms": _rounded(value) for name, value in zip(QUANTILES, quantiles, strict=True)},
        "ci95_ms": [_rounded(end) for end in measurement.interval_ms("p50")],
        "load_ms": _rounded(measurement.load_ms),
        "first_ms": _rounded(measurement.first_ms),
    }


def _rounded(value_ms: float | None) -> float | None:
    """To the nanosecond, which is what clocks give."""
    return None if value_ms is None else round(float(value_ms), _DECIMALS)


def document_of(table: LatencyTable, samples_sha256: str) -> dict[str, Any]:
    """``table`` as its JSON has it, in that order, with the hash of its content."""
    networks = {
        key: {**summary(network.measurement), "space": network.arch.space_id, "codes": list(network.arch.indices)}
        for key, network in sorted(table.networks.items())
    }
    document = {
        "version": VERSION,
        "sha256": "",
        "samples_sha256": samples_sha256,
        **table.context,
        "plan": _plan(table.plan),
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
        "version": VERSION,
        "overhead": table.overhead,
        "entries": table.entries,
        "networks": {key: network.measurement for key, network in table.networks.items()},
    }
    return canonical_json(value).encode()
