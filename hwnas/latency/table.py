"""What a latency table is: measurements of blocks and of whole networks on one device, in one runtime, precision and regime.

A table never mixes: measurements of another device, runtime, precision, thread count, batch or regime belong in another table, and
`LatencyTable.require` refuses the wrong one. How a table is stored is `hwnas.latency.tablefile`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hwnas.core.arch import Architecture, Block
from hwnas.core.device import PRECISIONS, REGIMES, Fact, Measurement, MeasurePlan
from hwnas.core.errors import TableError

_AT = "@"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def key_at(key: str, resolution: int) -> str:
    """The key of a block as it was measured with the blocks of networks of one input size alone: ``<key>@<resolution>``."""
    return f"{key}{_AT}{resolution}"


def base_key(key: str) -> str:
    """The key without the input size that `key_at` adds."""
    return key.partition(_AT)[0]


@dataclass(frozen=True, slots=True)
class Network:
    """A whole network that was measured."""

    arch: Architecture
    measurement: Measurement

    @property
    def key(self) -> str:
        """``net:<architecture id>``."""
        return f"net:{self.arch.id}"


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """Blocks by key and whole networks by ``net:<architecture id>``, measured alike.

    ``overhead`` is the call of an empty model, which every block's time holds once; None where it was not measured. ``facts`` say what was
    known of the device and the session, ``plan`` how it was measured; None where that was not published. Samples that are missing, not
    finite or not above 0 raise `TableError`, and so do published means and deviations that cannot be.
    """

    device: str
    runtime: str
    precision: str
    threads: int
    batch: int
    regime: str
    plan: MeasurePlan | None
    facts: Mapping[str, Fact]
    overhead: Measurement | None
    entries: Mapping[str, Measurement]
    networks: Mapping[str, Network] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, name in (("device", self.device), ("runtime", self.runtime)):
            if not _NAME.match(name):
                raise TableError(f"{kind} {name!r} of a latency table: letters, digits, '.', '_' and '-' are possible")
        for kind, name, known in (("precision", self.precision, PRECISIONS), ("regime", self.regime, REGIMES)):
            if name not in known:
                raise TableError(f"{self.label}: unknown {kind} '{name}'; known: {', '.join(known)}")
        if self.threads < 1 or self.batch < 1:
            raise TableError(f"{self.label}: threads and batch must be at least 1")
        for key, measurement in self.entries.items():
            self._check(key, measurement)
        for key, network in self.networks.items():
            if key != network.key:
                raise TableError(f"{self.label}: network '{key}' holds architecture {network.arch.id}; its key must be '{network.key}'")
            self._check(key, network.measurement)
        if self.overhead is not None:
            self._check("overhead", self.overhead)

    def _check(self, key: str, measurement: Measurement) -> None:
        if measurement.published is not None:
            self._check_published(key, measurement)
        elif not measurement.samples_ms:
            raise TableError(f"{self.label}: '{key}' has no samples; measure it again or leave it out")
        for sample in measurement.samples_ms:
            if not (math.isfinite(sample) and sample > 0):
                raise TableError(f"{self.label}: '{key}' has a sample of {sample} ms; a time must be finite and above 0; measure it again")
        for name in ("load_ms", "first_ms"):
            value = getattr(measurement, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise TableError(f"{self.label}: '{key}' has {name} {value}; it must be finite and not negative, or None")
        for name in ("peak_memory_bytes", "energy_mj"):
            value = getattr(measurement, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise TableError(f"{self.label}: '{key}' has {name} {value}; it must be finite and above 0, or None")
        if measurement.rejected < 0:
            raise TableError(f"{self.label}: '{key}' has {measurement.rejected} rejected samples")

    def _check_published(self, key: str, measurement: Measurement) -> None:
        said = measurement.published
        if measurement.samples_ms or said is None:
            raise TableError(f"{self.label}: '{key}' has both samples and a published mean; keep the samples")
        if not (math.isfinite(said.mean_ms) and said.mean_ms > 0):
            raise TableError(f"{self.label}: '{key}' has a mean of {said.mean_ms} ms; a time must be finite and above 0")
        if said.std_ms is not None and not (math.isfinite(said.std_ms) and said.std_ms >= 0):
            raise TableError(f"{self.label}: '{key}' has a standard deviation of {said.std_ms} ms; it must be finite and not negative")
        if said.count < 1:
            raise TableError(f"{self.label}: '{key}' has a count of {said.count}; there must be at least one measurement")

    @property
    def label(self) -> str:
        """``device/runtime``, as errors name the table."""
        return f"{self.device}/{self.runtime}"

    @property
    def context(self) -> dict[str, str | int]:
        """What two measurements must share to be comparable."""
        return {
            "device": self.device,
            "runtime": self.runtime,
            "precision": self.precision,
            "threads": self.threads,
            "batch": self.batch,
            "regime": self.regime,
        }

    def require(self, *, device: str, runtime: str, precision: str, threads: int, batch: int, regime: str) -> None:
        """Raise `TableError` unless the table was measured in exactly this context."""
        wanted = {"device": device, "runtime": runtime, "precision": precision, "threads": threads, "batch": batch, "regime": regime}
        wrong = [f"{name} {have}, not {wanted[name]}" for name, have in self.context.items() if have != wanted[name]]
        if wrong:
            raise TableError(f"{self.label}: the table is of {', '.join(wrong)}; measure what is needed with 'hwnas profile {device}'")

    def require_like(self, other: LatencyTable) -> None:
        """Raise `TableError` unless both tables were measured in the same context: others are never compared nor merged."""
        wrong = [f"{name} {value}, not {self.context[name]}" for name, value in other.context.items() if value != self.context[name]]
        if wrong:
            raise TableError(f"{self.label}: the other table is of {', '.join(wrong)}; only tables of one context belong together")

    def missing(self, blocks: Iterable[Block]) -> tuple[Block, ...]:
        """Those of ``blocks`` that were not measured, in their order."""
        return tuple(block for block in blocks if block.key not in self.entries)

    def require_blocks(self, blocks: Iterable[Block]) -> None:
        """Raise `TableError` that counts the missing blocks and names the first, if any is missing."""
        wanted = tuple(blocks)
        missing = self.missing(wanted)
        if missing:
            raise TableError(
                f"{self.label}: {len(missing)} of {len(wanted)} blocks are not in the table, first {missing[0].key}; "
                f"run 'hwnas profile {self.device}' to measure them"
            )

    @property
    def blocks(self) -> dict[str, Measurement]:
        """The entries without those of `key_at`."""
        return {key: measurement for key, measurement in self.entries.items() if _AT not in key}

    def at_resolution(self, resolution: int) -> LatencyTable:
        """The blocks as they were measured for networks of one input size, where the table tells that, and as they are otherwise."""
        entries = self.blocks
        return replace(self, entries={key: self.entries.get(key_at(key, resolution), entries[key]) for key in entries})

    def networks_of(self, space_id: str) -> tuple[Network, ...]:
        """The measured networks of one space, sorted by key."""
        return tuple(self.networks[key] for key in sorted(self.networks) if self.networks[key].arch.space_id == space_id)


def table_path(root: Path, *, device: str, runtime: str, precision: str, threads: int = 1, batch: int = 1, regime: str = "quiet") -> Path:
    """Where the table of this context lies below ``root``: ``<device>/<runtime>-<precision>-t<threads>-b<batch>-<regime>.json``."""
    return root / device / f"{runtime}-{precision}-t{threads}-b{batch}-{regime}.json"
