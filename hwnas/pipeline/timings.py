"""Every timing that a decision uses goes through here, and into a journal first.

Resuming, reusing and replaying are the same thing: a model whose timing is in the journal is not measured again. A replay reads the
journal of an earlier run in place of the device, and the run gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.device import REGIMES, Measurement
from hwnas.core.errors import DeviceChanged, UsageError
from hwnas.core.serial import content_id, parse, plain
from hwnas.pipeline.identity import Identity
from hwnas.pipeline.recording import Recording
from hwnas.profiler.nativetools import Burst
from hwnas.store.journal import Journal

Regimes = Mapping[str, Measurement]
"""Measurements of one model by regime: those of `hwnas.core.device.Device.regimes`, or ``busy`` or ``sustained`` alone."""

Meet = Callable[[Identity], None]
"""Hears which device it is before anything is timed on it; `DeviceChanged` if that is not the one of the timings so far."""

Measure = Callable[[Sequence["TimedModel"], "Keep", Meet], Mapping[str, Any]]
"""Measures models on the device, calling back as it meets it and as each model is finished, and returns facts of the session."""

MAX_MEETINGS = 2
"""Sessions in which a device may prove to be another one than in those before."""

_LEVEL_BEFORE = (8, 17)


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
class Keep:
    """Takes the timing of a model as soon as it is finished: ``keep(key, regimes)``; ``known`` has its record then.

    A benchmark program takes long for one. Each of its bursts is kept until the timing is there, which is made of them.
    """

    conditions: Conditions
    journal: Journal
    known: dict[str, dict[str, Any]]

    def __call__(self, key: str, regimes: Regimes) -> None:
        """Keep a timing."""
        note_timing(self.conditions, self.journal, key, regimes)
        self.known[key] = self.journal.records[-1]

    def burst(self, key: str, burst: Burst) -> None:
        """Keep what one start of a benchmark program gave."""
        self.journal.append({"kind": "burst", "conditions": self.conditions.id, "key": key, "burst": plain(burst)})

    def bursts(self) -> dict[str, list[Burst]]:
        """See `bursts_of`."""
        return bursts_of(self.conditions, self.journal)


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
    known: dict[str, dict[str, Any]] = {}
    missing: list[TimedModel] = []
    keep = Keep(conditions, journal, known)
    for _ in range(MAX_MEETINGS):
        known |= {key: r for key, r in _known(conditions, journal).items() if key not in again}
        missing = [m for m in models if m.key not in known]
        if missing and replay is not None:
            _replayed(conditions, missing, journal, replay, known)
        elif missing:
            try:
                facts = measure(missing, keep, lambda identity: meet(conditions, journal, identity))
            except DeviceChanged:  # nothing was timed yet, and what had been timed before counts no more
                known.clear()
                continue
            journal.append({"kind": "session", "conditions": conditions.id, "of": plain(conditions), "facts": plain(facts)})
        return {m.key: _regimes(known[m.key], str(journal.path)) for m in models}
    where = f"{conditions.device}/{conditions.runtime}"
    raise DeviceChanged(
        f"{where}: it was another device in each of {MAX_MEETINGS} sessions; do its descriptor and address mean one device?"
    )


def meet(conditions: Conditions, journal: Journal, identity: Identity) -> None:
    """Note which device it is. Where timings of another one are in the journal they count no more, and `DeviceChanged` says so."""
    before = identity_of(conditions, journal)
    if before == identity:
        return
    timings = _known(conditions, journal) or any(r.get("kind") == "burst" for r in _current(conditions, journal))
    journal.append({"kind": "device", "conditions": conditions.id, "of": plain(conditions), "identity": plain(identity)})
    if timings:
        changes = () if before is None else before.changes(identity)
        raise DeviceChanged("; ".join(changes) or "nothing is known of the one before")


def identity_of(conditions: Conditions, journal: Journal) -> Identity | None:
    """Which device the timings under these conditions are of; None where that was not noted."""
    for record in reversed(journal.records):
        if record.get("kind") == "device" and record.get("conditions") == conditions.id and isinstance(record.get("identity"), Mapping):
            return Identity.read(record["identity"], runtime=conditions.runtime)
    return None


def timed_keys(conditions: Conditions, journal: Journal) -> frozenset[str]:
    """Which models have a timing that counts."""
    return frozenset(_known(conditions, journal))


def _current(conditions: Conditions, journal: Journal) -> list[dict[str, Any]]:
    """The records under these conditions since the device became what it is."""
    own = [r for r in journal.records if r.get("conditions") == conditions.id]
    last = max((n for n, r in enumerate(own) if r.get("kind") == "device"), default=-1)
    return own[last + 1 :]


def _known(conditions: Conditions, journal: Journal) -> dict[str, dict[str, Any]]:
    """The last timing of each model; a record that was edited into another shape raises `UsageError`."""
    found = {}
    for record in _current(conditions, journal):
        if record.get("kind") != "timing":
            continue
        if not isinstance(record.get("key"), str) or not _has_facts(record.get("regimes")):
            raise UsageError(f"{journal.path}: holds a timing of another shape; it was edited: delete the file and measure again")
        found[record["key"]] = record
    return found


def _has_facts(regimes: object) -> bool:
    if not isinstance(regimes, Mapping) or not regimes or not regimes.keys() <= set(REGIMES):
        return False
    return all(isinstance(one, Mapping) and isinstance(one.get("facts"), Mapping) for one in regimes.values())


def bursts_of(conditions: Conditions, journal: Journal) -> dict[str, list[Burst]]:
    """What a benchmark program gave and no timing is made of yet, by model; a record of another shape raises `UsageError`."""
    found: dict[str, list[Burst]] = {}
    for record in _current(conditions, journal):
        key = str(record.get("key"))
        if record.get("kind") == "timing":
            found.pop(key, None)
        elif record.get("kind") == "burst":
            burst = parse(Burst, record.get("burst"), where=f"{journal.path}: {key}", error=UsageError)
            found.setdefault(key, []).append(burst)
    return found


def quiet_levels_us(conditions: Conditions, journal: Journal) -> dict[str, float]:
    """At which level of the probe each model in the journal was timed, in us; models without one are left out."""
    quiet = {key: record["regimes"]["quiet"] for key, record in _known(conditions, journal).items() if "quiet" in record["regimes"]}
    levels = {key: measurement["facts"].get("quiet_level_us") for key, measurement in quiet.items()}
    return {key: float(level) for key, level in levels.items() if isinstance(level, (int, float)) and level > 0}


def note_timing(conditions: Conditions, journal: Journal, key: str, regimes: Regimes) -> None:
    """Keep what was measured of one model."""
    journal.append({"kind": "timing", "conditions": conditions.id, "of": plain(conditions), "key": key, "regimes": plain(regimes)})


def note_untimed(conditions: Conditions, journal: Journal, keys: Collection[str], reason: str) -> None:
    """Keep that these models could not be timed: a run that goes on without them is replayed without them."""
    for key in sorted(keys):
        journal.append({"kind": "untimed", "conditions": conditions.id, "of": plain(conditions), "key": key, "reason": reason})


def note_speed(conditions: Conditions, journal: Journal, quiet_level_us: float) -> None:
    """Keep a faster level of the probe than any at which these models were timed: what is timed from now on has to be as fast."""
    journal.append({"kind": "speed", "conditions": conditions.id, "of": plain(conditions), "quiet_level_us": quiet_level_us})


def noted_speeds_us(conditions: Conditions, journal: Journal) -> list[float]:
    """The levels that `note_speed` kept."""
    kept = [r for r in _current(conditions, journal) if r.get("kind") == "speed"]
    return [float(r["quiet_level_us"]) for r in kept]


def note_level(conditions: Conditions, journal: Journal, level: tuple[int, int]) -> None:
    """Keep the ONNX IR and opset of the files that are timed from now on."""
    onnx_ir, onnx_opset = level
    journal.append({"kind": "level", "conditions": conditions.id, "of": plain(conditions), "onnx_ir": onnx_ir, "onnx_opset": onnx_opset})


def noted_level(conditions: Conditions, journal: Journal, replay: Recording | None = None) -> tuple[int, int] | None:
    """The ONNX IR and opset that `note_level` kept here or in the recording; None where neither says.

    A journal whose timings are older than such notes is of the level of that time: IR 8 and opset 17.
    """
    found = [r for r in journal.records if r.get("kind") == "level" and r.get("conditions") == conditions.id]
    if not found and replay is not None and conditions.id in replay.levels:
        found = [dict(replay.levels[conditions.id])]
    if not found:
        return _LEVEL_BEFORE if _known(conditions, journal) else None
    ir_version, opset = found[-1].get("onnx_ir"), found[-1].get("onnx_opset")
    if not (isinstance(ir_version, int) and isinstance(opset, int)):
        raise UsageError(f"{journal.path}: holds an ONNX level of another shape; it was edited: delete the file and measure again")
    return ir_version, opset


def session_facts(conditions: Conditions, journal: Journal) -> Mapping[str, Any]:
    """Facts of the last session under these conditions; empty where there was none."""
    for record in reversed(_current(conditions, journal)):
        if record.get("kind") == "session":
            facts: Mapping[str, Any] = record["facts"]
            return facts
    return {}


def _replayed(
    conditions: Conditions, missing: Sequence[TimedModel], journal: Journal, replay: Recording, known: dict[str, dict[str, Any]]
) -> None:
    device = replay.devices.get(conditions.id)
    if device is not None and identity_of(conditions, journal) is None:
        journal.append(device)
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
