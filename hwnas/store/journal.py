"""Append-only journals: one JSON object a line, flushed to disk before the call returns.

A process killed in mid-write leaves a torn last line; opening the journal again cuts it off. A line torn anywhere else was not ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas.core.errors import UsageError
from hwnas.core.serial import canonical_json


class Journal:
    """Records of one stage or run, in the order in which they were made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._cut_torn_line()
        self.records: list[dict[str, Any]] = list(read_journal(path)) if path.exists() else []

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record; it is on disk when this returns."""
        line = canonical_json(record)
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(json.loads(line))

    def _cut_torn_line(self) -> None:
        if not self.path.exists():
            return
        raw = self.path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole != len(raw):
            with self.path.open("r+b") as file:
                file.truncate(whole)


def read_journal(path: Path, *, growing: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a journal; a missing file or a malformed line raises `UsageError`.

    Of one that is ``growing`` the last line may be torn: another process is writing it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path}: not readable as a journal: {problem}") from None
    if growing:
        text = text[: text.rfind("\n") + 1]
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):  # not splitlines: JSON may hold U+0085
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise UsageError(f"{path}:{number}: not a journal record; the file was edited or torn: delete the line or restore the file")
        yield record
