"""How far a training or a search is, in a file that another process can follow while it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.core.serial import canonical_json
from hwnas.search.archive import Archive

PROGRESS = "progress.jsonl"
"""The notes of a stage, in its folder."""
APART_S = 1.0


class Notes:
    """Appends a JSON object a line, one a second at most: nobody watches closer. The file is made with the first note."""

    def __init__(self, path: Path, *, apart_s: float = APART_S) -> None:
        self.path, self._apart_s, self._last = path, apart_s, float("-inf")

    @property
    def due(self) -> bool:
        """Whether a note would be written now."""
        return time.monotonic() - self._last >= self._apart_s

    def __call__(self, note: Mapping[str, Any]) -> None:
        """Write ``note`` if it is due."""
        if not self.due:
            return
        self._last = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(canonical_json(note) + "\n")


class Watch:
    """Notes the best of each budget while a search goes on. A quick one leaves none, and one that is finished neither."""

    def __init__(self, path: Path, budgets_ms: Mapping[str, float]) -> None:
        self._notes, self._budgets_ms = Notes(path), budgets_ms
        self._begun = time.monotonic()

    def __call__(self, archive: Archive) -> None:
        """Look at what was evaluated so far, if it is time to."""
        if not self._notes.due or time.monotonic() - self._begun < APART_S:
            return
        found = archive.all()
        best = {text: found.fitting(budget_ms)[:1] for text, budget_ms in self._budgets_ms.items()}
        shares = {text: float(found.accuracy[rows[0]]) for text, rows in best.items() if len(rows)}
        self._notes({"evaluated": archive.evaluated, "best": shares})

    def end(self) -> None:
        """The search is over, and its results say more."""
        self._notes.path.unlink(missing_ok=True)
