"""Latency tables as files: JSON for reviewers, one summary line an entry, and the raw samples compressed beside it.

``<stem>.json`` is sorted by key, so that ``git diff`` shows a regression line by line; its schema is `SCHEMA`. What a line says is derived
from ``<stem>.samples.json.gz``, and `read_table` compares the two. ``sha256`` is that of the canonical JSON of everything else in the file
and ``samples_sha256`` that of the uncompressed samples: a torn or edited file is refused.

Version 2 adds published means in place of samples, and no plan where none is known. A table is written in the oldest version that can hold
it, so that one written again keeps its bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from hwnas.core.arch import MAX_OPTIONS, Architecture
from hwnas.core.device import Measurement
from hwnas.core.errors import TableError
from hwnas.core.serial import parse, write_atomic
from hwnas.latency.table import LatencyTable, Network, table_path
from hwnas.latency.tableformat import (
    SECTIONS,
    VERSION,
    SamplesDocument,
    TableDocument,
    content_hash,
    document_of,
    render,
    samples_json,
    version_of,
)
from hwnas.latency.tableline import Line, difference

SCHEMA = Path(__file__).parents[1] / "assets" / "latency-table.schema.json"
"""The published JSON Schema of all versions."""
MAX_SAMPLES_BYTES = 1 << 29


def samples_path(path: Path) -> Path:
    """The raw samples that belong to the table at ``path``."""
    return path.with_name(path.name.removesuffix(".json") + ".samples.json.gz")


def stored_at(table: LatencyTable, root: Path) -> Path:
    """Where `write_table` stores ``table`` below ``root``."""
    context = {name: getattr(table, name) for name in ("device", "runtime", "precision", "threads", "batch", "regime")}
    return table_path(root, **context)


def write_table(table: LatencyTable, root: Path) -> Path:
    """Store ``table`` where `table_path` says below ``root``, samples first, and return that path. The same table gives the same bytes."""
    path = stored_at(table, root)
    raw = samples_json(table)
    document = document_of(table, hashlib.sha256(raw).hexdigest())
    write_atomic(samples_path(path), gzip.compress(raw, compresslevel=9, mtime=0))
    write_atomic(path, render(document))
    return path


def read_table(path: Path) -> LatencyTable:
    """The table at ``path``, with every check that is possible without the device; what does not hold raises `TableError`."""
    text = _read_text(path)
    document = _parse_json(path, text)
    file = parse(TableDocument, document, where=str(path), error=TableError)
    if text != render(document) or file.sha256 != content_hash(document):
        raise TableError(f"{path}: was changed after it was written (its sha256 does not fit); {_REMEDY}")
    samples = _read_samples(path, file.samples_sha256)
    _compare(path, file, samples)
    try:
        table = _assemble(file, samples)
    except TableError as problem:
        raise TableError(f"{path}: {problem}; {_REMEDY}") from None
    if version_of(table) != file.version:
        raise TableError(f"{path}: says version {file.version}, what it holds is version {version_of(table)}; {_REMEDY}")
    _require_place(path.absolute(), table)
    return table


def _require_place(path: Path, table: LatencyTable) -> None:
    """A table lies where its context says: under another name it would be taken for one of another device, runtime or regime."""
    own = stored_at(table, path.parents[1])
    if own.parent != path.parent:
        raise TableError(f"{path}: the table is of device {table.device}, not {path.parent.name}; {_REMEDY}")
    if own != path:
        raise TableError(f"{path}: the table is {own.stem}, not {path.stem}; {_REMEDY}")


_REMEDY = "restore it from version control, or measure again with 'hwnas profile'"


def _assemble(file: TableDocument, samples: SamplesDocument) -> LatencyTable:
    networks = {}
    for key, line in file.networks.items():
        if line.space is None or line.codes is None:
            raise TableError(f"network '{key}' has no space or codes")
        if not all(0 <= code < MAX_OPTIONS for code in line.codes):
            raise TableError(f"network '{key}' has codes that no space has")
        networks[key] = Network(Architecture(line.space, line.codes), samples.networks[key])
    return LatencyTable(
        device=file.device,
        runtime=file.runtime,
        precision=file.precision,
        threads=file.threads,
        batch=file.batch,
        regime=file.regime,
        plan=file.plan,
        facts=file.facts,
        overhead=samples.overhead,
        entries=samples.entries,
        networks=networks,
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; 'hwnas profile' measures a table") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise TableError(f"{path}: not readable: {problem}; {_REMEDY}") from None


def _parse_json(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise TableError(f"{path}: torn, or not a latency table ({problem}); {_REMEDY}") from None
    if not isinstance(document, dict) or "version" not in document:
        raise TableError(f"{path}: not a latency table (no version); {_REMEDY}")
    version = document["version"]
    if isinstance(version, int) and version > VERSION:
        raise TableError(f"{path}: format version {version} is newer than this hwnas reads ({VERSION}); upgrade hwnas")
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _read_samples(path: Path, sha256: str) -> SamplesDocument:
    beside = samples_path(path)
    try:
        with gzip.open(beside) as file:
            raw = file.read(MAX_SAMPLES_BYTES + 1)
    except FileNotFoundError:
        raise TableError(f"{beside}: the raw samples of {path.name} are missing; {_REMEDY}") from None
    except (OSError, EOFError, zlib.error) as problem:
        raise TableError(f"{beside}: torn, or not the raw samples of a table ({problem}); {_REMEDY}") from None
    if len(raw) > MAX_SAMPLES_BYTES:
        raise TableError(f"{beside}: more than {MAX_SAMPLES_BYTES >> 20} MiB of samples; {_REMEDY}")
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise TableError(f"{beside}: not the raw samples that {path.name} was made from (sha256 differs); {_REMEDY}")
    try:
        value = json.loads(raw)
    except ValueError as problem:
        raise TableError(f"{beside}: not readable as JSON ({problem}); {_REMEDY}") from None
    return parse(SamplesDocument, value, where=str(beside), error=TableError)


def _compare(path: Path, file: TableDocument, samples: SamplesDocument) -> None:
    """Every line must repeat what its samples give."""
    if file.version != samples.version:
        raise TableError(f"{path}: says version {file.version}, its samples version {samples.version}; {_REMEDY}")
    if (file.overhead is None) != (samples.overhead is None):
        raise TableError(f"{path}: overhead is only in the table or only in its samples; {_REMEDY}")
    if file.overhead is not None and samples.overhead is not None:
        _require_line(path, "overhead", file.overhead, samples.overhead)
    for section in SECTIONS:
        lines, raw = getattr(file, section), getattr(samples, section)
        if lines.keys() != raw.keys():
            odd = min(lines.keys() ^ raw.keys())
            raise TableError(f"{path}: '{odd}' is only in the table or only in its samples; {_REMEDY}")
        for key, line in lines.items():
            _require_line(path, key, line, raw[key])


def _require_line(path: Path, key: str, line: Line, measurement: Measurement) -> None:
    found = difference(line, measurement)
    if found:
        raise TableError(f"{path}: '{key}' {found}; {_REMEDY}")
