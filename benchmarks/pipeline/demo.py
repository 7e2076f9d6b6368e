"""Does the reference workspace, from nothing, do in minutes what it promises: in budget, accurate, reusable, and the same once more?

Runs ``hwnas run`` in a copy of the workspace, a second time there, and in another copy with the timings replayed from the first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.harness import Outcome, Target, main
from benchmarks.pipeline._workspace import reference_workspace
from hwnas.core.serial import sha256_file

MODELS = (".onnx", ".tflite")
TARGETS = {
    "seconds": Target("<=", 480),
    "second_run_seconds": Target("<=", 30),
    "targets": Target(">=", 6),
    "within_budget": Target(">=", 1.0),
    "falls": Target("<=", 0),
    "largest_accuracy_test": Target(">=", 87.0),
    "replay_same": Target(">=", 1.0),
}


def measure(quick: bool) -> Outcome:
    """Three runs; accuracies are in percent."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (reference_workspace(Path(folder) / name, quick=quick) for name in ("first", "second"))
        document, seconds = _run(first)
        again, again_s = _run(first)
        journal = first / "runs" / document["run"] / "journal.jsonl"
        replayed, _ = _run(second, "--replay", str(journal))
        same = [_choices(document) == _choices(other) for other in (again, replayed)] + [_files(first) == _files(second)]
    targets = document["targets"]
    figures = {
        "seconds": seconds,
        "second_run_seconds": again_s,
        "targets": float(len(targets)),
        "within_budget": sum(row["measured_ci_ms"][1] <= row["budget_ms"] for row in targets) / len(targets),
        "falls": float(_falls(targets)),
        "largest_accuracy_test": 100 * min(_of_largest_budgets(targets)),
        "smallest_accuracy_test": 100 * min(row["accuracy_test"] for row in targets),
        "replay_same": float(all(same)),
    }
    columns = ("runtime", "precision", "budget ms", "test %", "predicted ms", "measured ms", "typical ms", "kB", "verdict")
    return Outcome(columns, [_row(row) for row in targets], figures, TARGETS)


def _run(workspace: Path, *options: str) -> tuple[dict[str, Any], float]:
    begin = time.monotonic()
    command = [sys.executable, "-m", "hwnas", "run", "--json", "--quiet", "--workspace", str(workspace), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.returncode)
    document: dict[str, Any] = json.loads(done.stdout.strip().split("\n")[-1])
    return document, time.monotonic() - begin


def _choices(document: Mapping[str, Any]) -> list[tuple[object, ...]]:
    return [(row["runtime"], row["precision"], row["budget_ms"], row["arch"], row["measured_ms"]) for row in document["targets"]]


def _files(workspace: Path) -> dict[str, str]:
    """Digests of the model files that the only run of a workspace shipped."""
    (artifacts,) = workspace.glob("runs/*/artifacts")
    return {str(p.relative_to(artifacts)): sha256_file(p) for p in sorted(artifacts.rglob("*")) if p.suffix in MODELS}


def _falls(targets: Sequence[Mapping[str, Any]]) -> int:
    """How often a larger budget of the same runtime gave a file that is less accurate on the test part."""
    rows = sorted(targets, key=lambda row: (row["runtime"], row["precision"], row["budget_ms"]))
    pairs = [(a, b) for a, b in pairwise(rows) if (a["runtime"], a["precision"]) == (b["runtime"], b["precision"])]
    return sum(b["accuracy_test"] < a["accuracy_test"] for a, b in pairs)


def _of_largest_budgets(targets: Sequence[Mapping[str, Any]]) -> list[float]:
    """Accuracy on the test part of the file under the largest budget of each runtime, as a share."""
    largest = {row["runtime"]: row["accuracy_test"] for row in sorted(targets, key=lambda row: row["budget_ms"])}
    return list(largest.values())


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    low, high = row["measured_ci_ms"]
    measured = f"{row['measured_ms']:.4f} ({low:.4f} to {high:.4f})"
    return (
        row["runtime"],
        row["precision"],
        f"{row['budget_ms']:.4f}",
        f"{100 * row['accuracy_test']:.2f}",
        f"{row['predicted_ms']:.4f} (≤ {row['predicted_hi_ms']:.4f})",
        measured,
        f"{row['measured_typical_ms']:.4f}",
        f"{row['size_bytes'] / 1000:.0f}",
        row["verdict"],
    )


if __name__ == "__main__":
    sys.exit(main("pipeline.demo", measure))
