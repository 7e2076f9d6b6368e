"""The results store: what every search found, kept below ``runs/search/`` and never changed.

A search has three files of one key. ``evaluated-KEY.jsonl.gz`` holds every architecture that was evaluated, a JSON object a line, in the
order of its evaluation, with metrics, target and seed: pandas (``read_json(..., lines=True)``) and DuckDB read it, one search or all.
``front-KEY.json`` is the front, and ``run-KEY.json``, written last, says what was asked, by which version, of which predictors, and what
came out.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.errors import ConfigError, UnknownNameError, UsageError
from hwnas.core.serial import canonical_json, read_json, write_atomic
from hwnas.search.archive import Front
from hwnas.store.stages import Store

MIN_PREFIX = 4


def write_evaluated(store: Store, front: Front, key: str, constant: Mapping[str, Any]) -> Path:
    """Every architecture of the archive as a line: its number, id, codes and metrics, and ``constant``, which is the same for all."""
    found = front.archive
    tail = canonical_json(constant)[1:]
    columns = (found.latency_ms, found.upper_ms, found.accuracy, found.accuracy_std)
    raw = io.BytesIO()
    # no time in the file: the same search gives the same bytes
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as file:
        for number, (code, kept) in enumerate(zip(found.codes, found.kept.tolist(), strict=True)):
            values = [float(column[number]) for column in columns]
            line = {
                "number": number,
                "arch": front.space.architecture(code).id,
                "codes": code.tolist(),
                **dict(zip(("predicted_ms", "predicted_hi_ms", "accuracy", "accuracy_std"), values, strict=True)),
                "kept": kept,
            }
            file.write(f"{json.dumps(line, separators=(',', ':'))[:-1]},{tail}\n".encode())
    path = _path(store, "evaluated", key, "jsonl.gz")
    write_atomic(path, raw.getvalue())
    return path


def now() -> str:
    """The time, as records say it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_run(store: Store, key: str, record: Mapping[str, Any]) -> Path:
    """What was asked and found; with this file a search is complete."""
    path = _path(store, "run", key, "json")
    write_atomic(path, canonical_json({"run": key, **record}) + "\n")
    return path


def _path(store: Store, kind: str, key: str, suffix: str) -> Path:
    return store.root / "search" / f"{kind}-{key}.{suffix}"


def searches(store: Store) -> list[dict[str, Any]]:
    """The records of all searches, the earliest first."""
    found = [_record(path) for path in sorted((store.root / "search").glob("run-*.json"))]
    return sorted(found, key=lambda record: (str(record["when"]), str(record["run"])))


def _record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict) or not {"run", "when", "space", "space_id", "seed", "budgets"} <= set(record):
        raise UsageError(f"{path}: not the record of a search as this version writes it; remove it and search again")
    return record


def one_search(store: Store, name: str) -> dict[str, Any]:
    """The record of the search whose key begins with ``name`` (at least four digits); none or several raise `UnknownNameError`."""
    matches = [record for record in searches(store) if str(record["run"]).startswith(name)] if len(name) >= MIN_PREFIX else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UnknownNameError(f"'{name}' begins the ids of {len(matches)} searches; give more digits")
    raise UnknownNameError(f"no search '{name}' is kept in {store.root / 'search'}; 'hwnas runs list' shows those that are")


def evaluated(store: Store, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every architecture of a search, in the order of its evaluation; a torn or missing file raises `UsageError`."""
    path = _path(store, "evaluated", str(record["run"]), "jsonl.gz")
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except (OSError, EOFError, ValueError) as problem:
        raise UsageError(f"{path}: not readable as the results of a search: {problem}; search again") from None


def known_codes(store: Store, space: SearchSpace, name: str) -> Codes:
    """The front of an earlier search of the same space, for any device, ``(n, n_choices)``: where a new one may begin."""
    record = one_search(store, name)
    if record["space_id"] != space.id:
        raise ConfigError(f"search {record['run']} is of another space ({record['space']}) than '{space.name}'; nothing can be taken over")
    points = read_json(_path(store, "front", str(record["run"]), "json"))["points"]
    codes = np.array([point["codes"] for point in points], dtype=np.int16).reshape(len(points), -1)
    space.check(codes)
    return codes


def compared(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Searches of one space side by side, budget by budget: accuracies, times, and which choices differ from the first one's.

    ``same_target``: whether their times may be compared. Searches of different spaces raise `ConfigError`.
    """
    first = records[0]
    for other in records[1:]:
        if other["space_id"] != first["space_id"]:
            spaces = f"{first['space']}, {other['space']}"
            raise ConfigError(f"searches {first['run']} and {other['run']} are of different spaces ({spaces}) and cannot be compared")
    same = all(record["target"] == first["target"] for record in records)
    budgets = list(dict.fromkeys(row["budget"] for record in records for row in record["budgets"]))
    rows = []
    for budget in budgets:
        found = [next((row for row in record["budgets"] if row["budget"] == budget), None) for record in records]
        if found[0] is None:
            continue
        own = [_beside(record["run"], row, found[0]) for record, row in zip(records, found, strict=True) if row is not None]
        rows.append({"budget": budget, "runs": own})
    return {"runs": [record["run"] for record in records], "same_target": same, "budgets": rows}


def _beside(run: str, row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    names = ("arch", "budget_ms", "accuracy", "predicted_ms", "predicted_hi_ms")
    before, now = first["choices"], row["choices"]
    differ = {name: [before.get(name), now.get(name)] for name in {**before, **now} if before.get(name) != now.get(name)}
    return {"run": run, **{name: row[name] for name in names}, "accuracy_gained": row["accuracy"] - first["accuracy"], "differs": differ}


def listed(store: Store) -> list[dict[str, Any]]:
    """A line for every run of the whole pipeline and every search, the earliest search first."""
    return [_line_of_run(run) for run in _whole_runs(store)] + [_line_of_search(record) for record in searches(store)]


def one_run(store: Store, name: str) -> dict[str, Any]:
    """The record of a search, or the result of a run of the whole pipeline, whose id begins with ``name``."""
    runs = [run for run in _whole_runs(store) if str(run["run"]).startswith(name)] if len(name) >= MIN_PREFIX else []
    return runs[0] if len(runs) == 1 else one_search(store, name)


def _whole_runs(store: Store) -> list[dict[str, Any]]:
    return [read_json(path) for path in sorted(store.root.glob("*/result.json"))]


def _line_of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    rows = run["targets"]
    return {
        "run": run["run"],
        "kind": "run",
        "when": None,
        "space": None,
        "targets": list(dict.fromkeys(f"{row['device']}/{row['runtime']}" for row in rows)),
        "strategy": None,
        "seed": None,
        "budgets": list(dict.fromkeys(row["budget"] for row in rows)),
        "accuracy": max((row["accuracy_test"] for row in rows), default=None),
    }


def _line_of_search(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": record["run"],
        "kind": "search",
        **{name: record[name] for name in ("when", "space", "strategy", "seed")},
        "targets": [f"{record['device']}/{record['runtime']}"],
        "budgets": [row["budget"] for row in record["budgets"]],
        "accuracy": max(row["accuracy"] for row in record["budgets"]),
    }
