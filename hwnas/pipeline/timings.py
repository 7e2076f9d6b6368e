"""Every timing that a decision uses goes through here, and into a journal first.

Resuming, reusing and replaying are the same thing: a model whose timing is in the journal is not measured again. A replay reads the
journal of an earlier run in place of the device, and the run gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.device import Measurement
from hwnas.core.errors import UsageError
from hwnas.core.serial import content_id, parse, plain
from hwnas.store.journal import Journal, read_journal

Regimes = Mapping[str, Measurement]
"""Measurements of one model by regime: those that its device's `hwnas.core.device.Device.regimes` name."""

Measure = Callable[[Sequence["TimedModel"], Callable[[str, Regimes], None]], Mapping[str, Any]]
"""Measures models on the device, calling back as each is finished, and returns facts of the session."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be equal for two timings to be comparable; ``purpose`` keeps a table's timings apart from a verification's."""

    purpose: str
    device: str
    runtime: str
    precision: str
    threads: int
    batch: int = 1

    @property
    def id(self) -> str:
        """A content id."""
        return content_id(self)


@dataclass(frozen=True, slots=True)
class TimedModel:
    """A model file to be timed. ``key`` names it in journals: a block's key, ``net:<arch>`` or ``file:<sha256>``."""

    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class Recording:
    """The timings and session facts of an earlier run."""

    timings: Mapping[tuple[str, str], Mapping[str, Any]]
    sessions: Mapping[str, Mapping[str, Any]]
    id: str

    @classmethod
    def read(cls, path: Path) -> Recording:
        """The recording in a journal; malformed records raise `UsageError`."""
        timings, sessions = {}, {}
        for record in read_journal(path):
            kind = record.get("kind")
            if kind == "timing":
                timings[(str(record.get("conditions")), str(record.get("key")))] = record
            elif kind == "session":
                sessions[str(record.get("conditions"))] = record
        if not timings:
            raise UsageError(f"{path}: holds no timings; give the journal.jsonl of a finished run")
        return cls(timings, sessions, content_id([plain(timings[k]) for k in sorted(timings)]))

    def holds(self, conditions: Conditions) -> bool:
        """Whether anything was timed under these conditions."""
        return any(key == conditions.id for key, _ in self.timings)


def timed(
    conditions: Conditions,
    models: Sequence[TimedModel],
    journal: Journal,
    *,
    measure: Measure,
    replay: Recording | None = None,
    again: Collection[str] = (),
) -> dict[str, Regimes]:
    """Timings of ``models`` by key, from the journal, from ``replay``, or from the device, in this order.

    Of several timings of a model the last one counts. Those of the keys in ``again`` are not believed and made anew.
    """
    known = {key: r for key, r in _known(conditions, journal).items() if key not in again}
    missing = [m for m in models if m.key not in known]

    def keep(key: str, regimes: Regimes) -> None:
        record = {"kind": "timing", "conditions": conditions.id, "of": plain(conditions), "key": key, "regimes": plain(regimes)}
        journal.append(record)
        known[key] = journal.records[-1]

    if missing and replay is not None:
        _replayed(conditions, missing, journal, replay, known)
    elif missing:
        facts = measure(missing, keep)
        journal.append({"kind": "session", "conditions": conditions.id, "of": plain(conditions), "facts": plain(facts)})
    return {m.key: _regimes(known[m.key], str(journal.path)) for m in models}


def _known(conditions: Conditions, journal: Journal) -> dict[str, dict[str, Any]]:
    """The last timing of each model; a record that was edited into another shape raises `UsageError`."""
    found = {}
    for record in journal.records:
        if record.get("kind") != "timing" or record.get("conditions") != conditions.id:
            continue
        if not isinstance(record.get("key"), str) or not _has_facts(record.get("regimes")):
            raise UsageError(f"{journal.path}: holds a timing of another shape; it was edited: delete the file and measure again")
        found[record["key"]] = record
    return found


def _has_facts(regimes: object) -> bool:
    found = list(regimes.values()) if isinstance(regimes, Mapping) else []
    return bool(found) and all(isinstance(one, Mapping) and isinstance(one.get("facts"), Mapping) for one in found)


def quiet_levels_us(conditions: Conditions, journal: Journal) -> dict[str, float]:
    """At which level of the probe each model in the journal was timed, in us; models without one are left out."""
    quiet = {key: record["regimes"]["quiet"] for key, record in _known(conditions, journal).items() if "quiet" in record["regimes"]}
    levels = {key: measurement["facts"].get("quiet_level_us") for key, measurement in quiet.items()}
    return {key: float(level) for key, level in levels.items() if isinstance(level, (int, float)) and level > 0}


def note_speed(conditions: Conditions, journal: Journal, quiet_level_us: float) -> None:
    """Keep a faster level of the probe than any at which these models were timed: what is timed from now on has to be as fast."""
    journal.append({"kind": "speed", "conditions": conditions.id, "of": plain(conditions), "quiet_level_us": quiet_level_us})


def noted_speeds_us(conditions: Conditions, journal: Journal) -> list[float]:
    """The levels that `note_speed` kept."""
    kept = [r for r in journal.records if r.get("kind") == "speed" and r.get("conditions") == conditions.id]
    return [float(r["quiet_level_us"]) for r in kept]


def session_facts(conditions: Conditions, journal: Journal) -> Mapping[str, Any]:
    """Facts of the last session under these conditions; empty where there was none."""
    for record in reversed(journal.records):
        if record.get("kind") == "session" and record.get("conditions") == conditions.id:
            facts: Mapping[str, Any] = record["facts"]
            return facts
    return {}


def _replayed(
    conditions: Conditions, missing: Sequence[TimedModel], journal: Journal, replay: Recording, known: dict[str, dict[str, Any]]
) -> None:
    for model in missing:
        record = replay.timings.get((conditions.id, model.key))
        if record is None:
            where = f"{conditions.device}/{conditions.runtime}"
            raise UsageError(
                f"{where}: the replayed journal has no {conditions.purpose} timing of {model.key}; it is of another configuration or seed"
            )
        journal.append(record)
        known[model.key] = journal.records[-1]
    session = replay.sessions.get(conditions.id)
    if session is not None and not session_facts(conditions, journal):
        journal.append(session)


def _regimes(record: Mapping[str, Any], where: str) -> dict[str, Measurement]:
    return {
        name: parse(Measurement, value, where=f"{where}: {record['key']}", error=UsageError) for name, value in record["regimes"].items()
    }
