"""How well a device was measured: from tables and journals to charts and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.latency.table import LatencyTable
from hwnas.report.page.items import Cell, Grid, NothingToShow, Row
from hwnas.report.page.quality import Timed

Records = Sequence[Mapping[str, Any]]


def label_of(table: LatencyTable) -> str:
    """``device/runtime precision regime``."""
    return f"{table.label} {table.precision} {table.regime}"


def timed_of(tables: Sequence[LatencyTable]) -> list[Timed]:
    """Every model of every table."""
    found = []
    for table in tables:
        measured = {**table.entries, **{key: network.measurement for key, network in table.networks.items()}}
        for key, one in measured.items():
            width = one.half_width("p50")
            rejected = None if one.published is not None else one.rejected
            found.append(Timed(label_of(table), key, one.quantile_ms("p50"), width if np.isfinite(width) else None, one.count, rejected))
    return found


def timed_in(records: Records) -> list[Timed]:
    """Every timing of a journal, before there is a table: the regime that was timed most strictly."""
    found = []
    for record in records:
        if record.get("kind") != "timing":
            continue
        regime = next(name for name in ("quiet", "sustained", "busy", "typical") if name in record["regimes"])
        one = record["regimes"][regime]
        samples = np.asarray(one["samples_ms"], dtype=np.float64)
        median = float(np.median(samples))
        spread = None if len(samples) < 6 else float(1.57 * np.subtract(*np.percentile(samples, [75, 25])) / np.sqrt(len(samples)) / median)
        found.append(Timed(f"{_of(record)} {regime}", str(record["key"]), median, spread, len(samples), int(one["rejected"])))
    return found


def _of(record: Mapping[str, Any]) -> str:
    of = record["of"]
    return f"{of['device']}/{of['runtime']} {of['precision']}"


def levels_of(records: Records) -> list[tuple[str, int, float]]:
    """``(what, order, us)``: at which quiet level of the probe each timing was made."""
    found = []
    for number, record in enumerate((r for r in records if r.get("kind") == "timing"), start=1):
        level = next((one["facts"].get("quiet_level_us") for one in record["regimes"].values() if one.get("facts")), None)
        if level is not None:
            found.append((f"{_of(record)}, {record['of']['purpose']}", number, float(level)))
    return found


def sessions_grid(records: Records) -> Grid:
    """A row a session: how long, how quiet, and what the device told of itself; what it could not tell is said with its reason."""
    rows = list(_sessions(records))
    if not rows:
        raise NothingToShow("the journal holds no session")
    columns = (
        "of", "seconds", "visits", "probes", "quiet time, %", "quiet probe, us", "reference, us", "governor", "clock, MHz",
        "temperature, °C", "version",
    )  # fmt: skip
    text = "The reference is one model that is timed again and again in a session: where its times rise, the device got slower on the way."
    return Grid("Sessions on the device", columns, rows, text)


def _sessions(records: Records) -> Iterator[Row]:
    for record in records:
        if record.get("kind") != "session":
            continue
        facts = record["facts"]
        device = facts.get("device") or {}
        told, unknown = device.get("facts") or {}, device.get("unknown") or {}
        share, reference = facts.get("quiet_share"), facts.get("reference_us") or []
        yield (
            f"{_of(record)}, {record['of']['purpose']}",
            _number(facts.get("seconds")),
            facts.get("visits"),
            facts.get("probes"),
            None if share is None else 100 * float(share),
            _number(facts.get("quiet_level_us")),
            f"{min(reference):.4g} to {max(reference):.4g}" if reference else None,
            *(_told(told, unknown, name) for name in ("governor", "frequency_mhz", "temperature_c")),
            None if facts.get("runtime_version") is None else str(facts["runtime_version"]),
        )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _told(told: Mapping[str, Any], unknown: Mapping[str, Any], name: str) -> Cell:
    value = told.get(name)
    if value is None:
        return f"not told{': ' if name in unknown else ''}{unknown.get(name, '')}"
    return value if isinstance(value, (int, float)) else str(value)


def tables_grid(tables: Sequence[LatencyTable]) -> Grid:
    """A row a table: how much is in it and how it was measured."""
    if not tables:
        raise NothingToShow("there is no latency table")
    rows: list[Row] = []
    for table in tables:
        facts = table.facts
        share = facts.get("quiet_share")
        quiet = None if share is None else 100 * float(share)
        rejected = sum(one.rejected for one in table.entries.values() if one.published is None)
        samples = sum(one.count for one in table.entries.values())
        version = facts.get("runtime_version")
        rows.append(
            (label_of(table), len(table.blocks), len(table.networks), samples, rejected, quiet, _number(facts.get("quiet_level_us")),
             None if version is None else str(version))
        )  # fmt: skip
    columns = ("table", "blocks", "networks", "samples", "rejected", "quiet time, %", "quiet probe, us", "version")
    return Grid("Latency tables", columns, rows)


def drift_grid(manifests: Records) -> Grid:
    """How much slower the device was when the files were timed than when its table was."""
    rows: list[Row] = [
        (str(m["name"]), None if m.get("device_drift") is None else 100 * float(m["device_drift"]),
         None if not m.get("latency") or m["latency"].get("anchored_error") is None else 100 * float(m["latency"]["anchored_error"]))
        for m in manifests
    ]  # fmt: skip
    if not rows:
        raise NothingToShow("no file was written")
    text = (
        "Slower: by how much the networks that are timed again beside the files were slower than in the table, over all of the session. "
        "Brought over: by how much a time of a busy device may be off in the regime of its budget; a dash where that was not needed."
    )
    return Grid("Drift between table and verification", ("file", "slower, %", "brought over, ± %"), rows, text)
