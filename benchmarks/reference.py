"""Measurements that others published: where they lie (``HWNAS_REFERENCE_DATA`` names the folder), and their columns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.core.errors import DataError

DATA = Path(os.environ.get("HWNAS_REFERENCE_DATA", Path(__file__).parents[2] / "shared" / "data"))
MISSING = f"the published measurements are not below {DATA} (HWNAS_REFERENCE_DATA names their folder)"


def published(name: str) -> Path:
    """The file ``name`` of the folder; `DataError` where it is not there."""
    path = DATA / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; HWNAS_REFERENCE_DATA names the folder of the published measurements")
    return path


def columns(name: str, wanted: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """The columns of a parquet file of the folder, all or those ``wanted``."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError("pyarrow is not installed, which reads the published measurements; run: pip install 'hwnas[dev]'") from None
    found: dict[str, list[Any]] = pyarrow.parquet.read_table(published(name), columns=wanted and list(wanted)).to_pydict()
    return found
