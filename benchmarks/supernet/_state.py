"""Results of long benchmarks, kept one by one, so that an interruption costs one of them at most.

A result is a small JSON file that is named by what decides it: kind, inputs, and `PROCEDURE`. The source of the code is no part of that: a
faster way to the same numbers does not make them another measurement. Whoever changes what is computed raises `PROCEDURE`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.errors import UsageError
from hwnas.core.serial import canonical_json, content_id, plain, read_json, write_atomic

PROCEDURE = 1
"""Of the trainings and evaluations of the benchmarks beside this file."""


@dataclass(frozen=True)
class State:
    """A folder of results."""

    folder: Path

    def path(self, kind: str, inputs: Mapping[str, Any], suffix: str) -> Path:
        """Where the result of ``kind`` for ``inputs`` lies."""
        return self.folder / f"{kind}-{content_id([PROCEDURE, kind, plain(inputs)])}{suffix}"

    def has(self, kind: str, inputs: Mapping[str, Any]) -> bool:
        """Whether there is a result."""
        return self.path(kind, inputs, ".json").is_file()

    def of(self, kind: str, inputs: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """The kept result, or what ``make`` gives now: plain values that JSON knows."""
        path = self.path(kind, inputs, ".json")
        if path.is_file():
            known = read_json(path, error=UsageError)
            if not isinstance(known, dict) or "result" not in known:
                raise UsageError(f"{path}: holds no result of a benchmark; delete the file")
            return known["result"]
        result = json.loads(canonical_json(make()))
        write_atomic(path, canonical_json({"kind": kind, "inputs": plain(inputs), "procedure": PROCEDURE, "result": result}) + "\n")
        return result


def say(line: str) -> None:
    """Progress, beside the table and the figures."""
    print(line, file=sys.stderr, flush=True)
