"""What an earlier run measured, for a replay to read in place of the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas.core.errors import UsageError
from hwnas.core.serial import content_id, plain
from hwnas.store.journal import read_journal

Keys = tuple[str, str]
"""The id of conditions and the key of a model."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The timings and session facts of an earlier run, and why it had none of the models in ``untimed``."""

    timings: Mapping[Keys, Mapping[str, Any]]
    sessions: Mapping[str, Mapping[str, Any]]
    devices: Mapping[str, Mapping[str, Any]]
    id: str
    levels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    untimed: Mapping[Keys, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Recording:
        """The recording in a journal; malformed records raise `UsageError`."""
        timings: dict[Keys, Mapping[str, Any]] = {}
        untimed: dict[Keys, str] = {}
        by_kind: dict[str, dict[str, Mapping[str, Any]]] = {"session": {}, "device": {}, "level": {}}
        for record in read_journal(path):
            kind, conditions = record.get("kind"), str(record.get("conditions"))
            keys = (conditions, str(record.get("key")))
            if kind == "timing":
                timings[keys] = record
                untimed.pop(keys, None)
            elif kind == "untimed":
                untimed[keys] = str(record.get("reason"))
            elif kind in by_kind:
                if kind == "device":  # what was timed on another one is not part of the recording
                    timings = {of: timing for of, timing in timings.items() if of[0] != conditions}
                by_kind[kind][conditions] = record
        if not timings:
            raise UsageError(f"{path}: holds no timings; give the journal.jsonl of a finished run")
        known = content_id([plain(timings[k]) for k in sorted(timings)])
        return cls(timings, by_kind["session"], by_kind["device"], known, by_kind["level"], untimed)

    def holds(self, conditions: str) -> bool:
        """Whether anything was timed under the conditions of this id."""
        return any(key == conditions for key, _ in self.timings)

    def has(self, conditions: str, key: str) -> bool:
        """Whether this model was timed under them."""
        return (conditions, key) in self.timings
