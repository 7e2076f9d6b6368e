"""Does ``hwnas ci`` turn the reference recipes into a folder to ship within minutes, do nothing twice, and turn red for a reason?

Runs it in a copy of the reference workspace from nothing, accepting the figures, again with nothing changed, and once more held to a
baseline that was half as slow. Its reports are read by an XML parser, by a YAML parser and as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from benchmarks.harness import Outcome, Target, main
from benchmarks.pipeline._workspace import reference_workspace
from hwnas.core.serial import sha256_file

TARGETS = {
    "seconds": Target("<=", 480),
    "no_change_seconds": Target("<=", 20),
    "exit_code": Target("<=", 0),
    "no_change_exit_code": Target("<=", 0),
    "regression_exit_code": Target(">=", 7),
    "sums_hold": Target(">=", 1.0),
    "reports_read": Target(">=", 1.0),
}


def measure(quick: bool) -> Outcome:
    """Three runs in one copy of the workspace."""
    with tempfile.TemporaryDirectory() as folder:
        root = reference_workspace(Path(folder) / "workspace", quick=quick)
        cases, code, seconds = _ci(root, "--accept")
        again, again_code, again_s = _ci(root)
        sums, read = _sums_hold(root / "dist"), _reports_read(root / "dist", len(again))
        for path in (root / "export" / "baselines").glob("*.json"):
            _halve(path)
        worse, worse_code, worse_s = _ci(root)
    figures = {
        "seconds": seconds,
        "no_change_seconds": again_s,
        "exit_code": float(code),
        "no_change_exit_code": float(again_code),
        "regression_exit_code": float(worse_code),
        "sums_hold": float(sums),
        "reports_read": float(read),
    }
    rows: list[tuple[object, ...]] = [
        ("from nothing, accepting the figures", f"{seconds:.0f}", code, _verdicts(cases)),
        ("nothing changed", f"{again_s:.0f}", again_code, _verdicts(again)),
        ("held to half the latency", f"{worse_s:.0f}", worse_code, _verdicts(worse)),
    ]
    return Outcome(("run", "seconds", "exit code", "verdicts"), rows, figures, TARGETS)


def _ci(root: Path, *options: str) -> tuple[list[dict[str, Any]], int, float]:
    begin = time.monotonic()
    command = [sys.executable, "-m", "hwnas", "ci", "--json", "--quiet", "--workspace", str(root), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    cases: list[dict[str, Any]] = json.loads(done.stdout) if done.stdout else []
    return cases, done.returncode, time.monotonic() - begin


def _verdicts(cases: list[dict[str, Any]]) -> str:
    kinds = [case["verdict"] for case in cases]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _sums_hold(dist: Path) -> bool:
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    return bool(lines) and all(sha256_file(dist / name) == digest for digest, name in (line.split("  ", 1) for line in lines))


def _reports_read(dist: Path, cases: int) -> bool:
    suites = ElementTree.parse(dist / "junit.xml").getroot()
    targets = yaml.safe_load((dist / "perf.yaml").read_text())["targets"]
    findings = json.loads((dist / "findings.sarif").read_text())["runs"][0]["results"]
    return (int(suites.get("tests", 0)), len(targets), findings) == (cases, cases, [])


def _halve(path: Path) -> None:
    document = json.loads(path.read_text())
    for target in document["targets"].values():
        target["measured_ms"] /= 2
        target["measured_ci_ms"] = [ms / 2 for ms in target["measured_ci_ms"]]
    path.write_text(json.dumps(document))


if __name__ == "__main__":
    sys.exit(main("export.ci", measure))
