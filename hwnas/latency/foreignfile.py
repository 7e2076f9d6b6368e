"""The files of tables that others published: CSV, one row an operation, and the YAML of OFA and ProxylessNAS, one key an operation.

The columns of CSV are `COLUMNS`; a time's name ends with its unit (``mean_ms``, ``std_us``, ``var_ms2``). A key of YAML is
``expanded_conv-input:56x56x24-output:56x56x24-expand:3-kernel:3-stride:1-idskip:1`` (and ``-se:0-hs:0`` with OFA), its value has ``mean``,
``count``, and ``std`` or ``var``, without a unit.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas.core.device import Published
from hwnas.core.errors import TableError
from hwnas.core.registry import suggest
from hwnas.latency.foreign import FLAGS, NUMBERS, OPS, Row, shape
from hwnas.latency.plainyaml import load

TO_MS = {"ms": 1.0, "us": 1e-3, "s": 1e3}
TEXTS = ("op", "input", "output")
FIGURES = ("mean", "std", "var", "count")
COLUMNS: dict[str, tuple[str, str]] = {
    **{name: (name, "") for name in ("resolution", *TEXTS, *NUMBERS, *FLAGS, "count")},
    **{f"mean_{unit}": ("mean", unit) for unit in TO_MS},
    **{f"std_{unit}": ("std", unit) for unit in TO_MS},
    **{f"var_{unit}2": ("var", unit) for unit in TO_MS},
}
"""What a column of CSV is and its unit, by its name."""
MAX_BYTES = 1 << 26
SUFFIXES = (".csv", ".yaml", ".yml")


def read_rows(path: Path, *, unit: str = "ms") -> list[Row]:
    """The rows of a published table; ``unit`` is that of YAML, where CSV says it itself. What cannot be raises `TableError` in one line."""
    if unit not in TO_MS:
        raise TableError(f"unknown unit '{unit}'; {suggest(unit, TO_MS)}")
    if path.suffix.lower() not in SUFFIXES:
        raise TableError(f"{path}: published tables end with {', '.join(SUFFIXES)}; which of them is this?")
    text = _text(path)
    rows = list(_csv(path, text) if path.suffix.lower() == ".csv" else _yaml(path, text, unit))
    if not rows:
        raise TableError(f"{path}: has no rows; it is torn, or not a table")
    return rows


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TableError(f"{path}: more than {MAX_BYTES >> 20} MiB; no block table is as large")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise TableError(f"{path}: not readable: {problem}") from None


def _csv(path: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        unit, names = _header(path, header)
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            if len(cells) != len(header):
                raise TableError(f"{where}: {len(cells)} cells, where the header has {len(header)}; the file may be torn")
            values = {name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()}
            for name in ("resolution", *TEXTS, "mean"):
                if name not in values:
                    raise TableError(f"{where}: {name} is empty")
            yield _row(where, _whole(values.pop("resolution"), "resolution", where), values, unit)
    except csv.Error as problem:
        raise TableError(f"{path}:{reader.line_num}: not readable as CSV: {problem}") from None


def _header(path: Path, header: list[str]) -> tuple[str, list[str]]:
    """The unit of all times, and the columns without it."""
    twice = [name for name in header if header.count(name) > 1]
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise TableError(f"{path}: unknown column '{unknown[0]}'; {suggest(unknown[0], COLUMNS)}")
    if twice:
        raise TableError(f"{path}: column '{twice[0]}' is there twice")
    units = {COLUMNS[name][1] for name in header} - {""}
    if len(units) > 1:
        raise TableError(f"{path}: times in {' and '.join(sorted(units))}; one unit a table is needed")
    names = [COLUMNS[name][0] for name in header]
    for name in ("resolution", *TEXTS, "mean"):
        if name not in names:
            raise TableError(f"{path}: column '{name if name != 'mean' else 'mean_ms'}' is missing; it is torn, or not a block table")
    return units.pop(), names


def _yaml(path: Path, text: str, unit: str) -> Iterator[Row]:
    document = _parsed(path, text)
    parsed = [(str(key), _keyed(path, str(key)), value) for key, value in document.items()]
    inputs = [shape(values["input"], where=f"{path}: '{key}'")[0] for key, values, _ in parsed if values["op"] == "Conv"]
    if len(inputs) != 1:
        raise TableError(f"{path}: has {len(inputs)} rows of 'Conv', which say the resolution; one a file is needed")
    for key, values, value in parsed:
        where = f"{path}: '{key}'"
        if not isinstance(value, Mapping):
            raise TableError(f"{where}: must have mean and count, not {str(value)[:40]!r}")
        unknown = [str(name) for name in value if name not in FIGURES]
        if unknown:
            raise TableError(f"{where}: unknown key '{unknown[0]}'; {suggest(unknown[0], FIGURES)}")
        if "mean" not in value:
            raise TableError(f"{where}: has no mean")
        yield _row(where, inputs[0], values | {str(name): str(figure) for name, figure in value.items()}, unit)


def _parsed(path: Path, text: str) -> Mapping[Any, Any]:
    document = load(path, text)
    if not isinstance(document, Mapping):
        raise TableError(f"{path}: not a block table: a mapping from operations to figures is needed")
    return document


def _keyed(path: Path, key: str) -> dict[str, str]:
    """What a key says: ``op-name:value-name:value``."""
    op, *words = key.split("-")
    values = {"op": op}
    for word in words:
        name, _, value = word.partition(":")
        if name not in (*TEXTS, *NUMBERS, *FLAGS) or not value or name in values:
            raise TableError(f"{path}: '{key[:80]}' is no key of a block table, because of '{word[:40]}'")
        values[name] = value
    if "input" not in values or "output" not in values:
        raise TableError(f"{path}: '{key[:80]}' is no key of a block table: it has no input and output")
    return values


def _row(where: str, resolution: int, values: Mapping[str, str], unit: str) -> Row:
    op = values["op"]
    if op not in OPS:
        raise TableError(f"{where}: unknown operation '{op}'; {suggest(op, OPS)}")
    numbers = {name: _whole(values[name], name, where) for name in (*NUMBERS, *FLAGS) if name in values}
    for name in FLAGS:
        if numbers.get(name, 0) not in (0, 1):
            raise TableError(f"{where}: {name} {numbers[name]}; it is 0 or 1")
    source, target = (shape(values[name], where=where) for name in ("input", "output"))
    if op == "Conv" and source[0] != resolution:
        raise TableError(f"{where}: the first Conv has an input of {source[0]} px, not of the resolution, {resolution}")
    return Row(where, resolution, op, source, target, numbers, _published(values, where, TO_MS[unit]))


def _published(values: Mapping[str, str], where: str, factor: float) -> Published:
    mean = _figure(values["mean"], "mean", where)
    if not mean > 0:
        raise TableError(f"{where}: a mean of {mean:g}; a time must be finite and above 0")
    if "std" in values and "var" in values:
        raise TableError(f"{where}: both a standard deviation and a variance; leave one out")
    spread = _figure(values["std"], "std", where) if "std" in values else None
    if "var" in values:
        variance = _figure(values["var"], "var", where)
        spread = math.sqrt(variance) if variance >= 0 else variance
    if spread is not None and spread < 0:
        raise TableError(f"{where}: a spread of {spread:g}; it cannot be negative")
    if spread is not None and "count" not in values:
        raise TableError(f"{where}: a spread without a count says nothing of the mean; give both or neither")
    count = _whole(values["count"], "count", where) if "count" in values else 1
    if count < 1:
        raise TableError(f"{where}: a count of {count}; there must be at least one measurement")
    return Published(count, mean * factor, None if spread is None else spread * factor)


def _figure(text: str, name: str, where: str) -> float:
    try:
        if "_" in text or not text.isascii():  # float() reads 1_0 and digits of any script
            raise ValueError
        value = float(text)
    except ValueError:
        raise TableError(f"{where}: {name} {text[:40]!r} is no number") from None
    if not math.isfinite(value):
        raise TableError(f"{where}: {name} {text}; it must be finite")
    return value


def _whole(text: str, name: str, where: str) -> int:
    value = _figure(text, name, where)
    if not value.is_integer() or value < 0:
        raise TableError(f"{where}: {name} {text}; a whole number is needed")
    return int(value)
