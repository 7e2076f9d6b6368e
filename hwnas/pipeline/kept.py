"""What the searches of a whole run evaluated, kept in its folder: ``searches/<recipe>.npz`` with a ``.json`` that says what was asked.

The arrays are in the order of evaluation: ``codes (n, n_choices) int16``; ``latency_ms``, ``upper_ms``, ``accuracy`` (shares) and
``accuracy_std``, ``(n,)``; ``kept``: whether all limits beside the budget hold.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import UsageError
from hwnas.core.serial import canonical_json, read_json, write_atomic
from hwnas.search.archive import Front
from hwnas.search.pareto import pareto_front

FOLDER = "searches"
_ARRAYS = ("codes", "latency_ms", "upper_ms", "accuracy", "accuracy_std", "kept")


@dataclass(frozen=True)
class KeptSearch:
    """One search: ``asked`` as it was written, and its arrays by name."""

    asked: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def front(self) -> NDArray[np.intp]:
        """Rows that nothing is both quicker than and at least as accurate as, quickest first, of those that keep all limits."""
        kept = np.flatnonzero(self.arrays["kept"])
        upper, accuracy = self.arrays["upper_ms"][kept], self.arrays["accuracy"][kept]
        return kept[pareto_front(np.stack([upper, -accuracy], axis=1))]


def keep_search(run_folder: Path, recipe: str, front: Front, asked: Mapping[str, Any]) -> None:
    """Write both files of a search; the same search gives the same bytes."""
    raw = io.BytesIO()
    np.savez_compressed(raw, **{name: getattr(front.archive, name) for name in _ARRAYS})
    write_atomic(run_folder / FOLDER / f"{recipe}.npz", raw.getvalue())
    said = {"recipe": recipe, "evaluated": front.evaluated, "bound": front.bound, "space_id": front.space.id, **asked}
    write_atomic(run_folder / FOLDER / f"{recipe}.json", canonical_json(said) + "\n")


def kept_searches(run_folder: Path) -> Sequence[KeptSearch]:
    """The searches that a run kept, by recipe; files that are torn raise `UsageError`."""
    return [_read(path) for path in sorted((run_folder / FOLDER).glob("*.json"))]


def _read(path: Path) -> KeptSearch:
    asked = read_json(path, error=UsageError)
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise UsageError(f"{path.with_suffix('.npz')}: not readable as what a search evaluated: {problem}; run again") from None
    if not isinstance(asked, dict) or len({len(values) for values in arrays.values()}) != 1:
        raise UsageError(f"{path}: not the record of a search; run again")
    return KeptSearch(asked, arrays)
