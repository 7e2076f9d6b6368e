"""A verdict as Markdown, for the page of a build, and as YAML, for tools that follow figures over time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.report.case import UNMEASURED, Case

COLUMNS = ("target", "budget", "verdict", "test %", "predicted ms", "measured ms", "kB", "subnet")
FIGURES = ("budget_ms", "accuracy_test", "predicted_ms", "predicted_hi_ms", "measured_ms", "measured_ci_ms", "size_bytes", "arch")


def markdown(cases: Sequence[Case]) -> str:
    """A heading with the verdict, a table of all budgets, and a line for each problem and note."""
    bad = [case for case in cases if not case.ok]
    unmeasured = sum(case.kind == UNMEASURED for case in cases)
    title = f"hwnas: {len(bad)} of {len(cases)} not ok" if bad else f"hwnas: {len(cases)} ok"
    title += f", {unmeasured} **unmeasured**" if unmeasured else ""
    lines = [f"# {title}", "", f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(map(_cell, _row(case)))} |" for case in cases]
    problems = [f"- **{_cell(case.name)}** ({_cell(case.kind)}, exit code {case.exit_code}): {_cell(case.message)}" for case in bad]
    notes = [f"- {_cell(case.name)}: {_cell(note)}" for case in cases for note in case.notes]
    for heading, found in (("Problems", problems), ("Notes", notes)):
        if found:
            lines += ["", f"## {heading}", "", *found]
    return "\n".join(lines) + "\n"


def perf_yaml(cases: Sequence[Case]) -> str:
    """The figures of every budget that has some. Values are in the forms that YAML shares with JSON."""
    lines = ["schema: 1", "targets:"]
    rows = [(case, case.row) for case in cases if case.row is not None]
    if not rows:
        return "schema: 1\ntargets: []\n"
    for case, row in rows:
        shown = {"recipe": case.recipe, "budget": case.budget, "verdict": case.kind, "device": row["device"], "runtime": row["runtime"]}
        shown |= {name: row[name] for name in FIGURES}
        lines += [f"{'- ' if number == 0 else '  '}{name}: {_value(value)}" for number, (name, value) in enumerate(shown.items())]
    return "\n".join(lines) + "\n"


def _row(case: Case) -> tuple[str, ...]:
    row: Mapping[str, Any] | None = case.row
    if row is None:
        return (case.recipe, case.budget or "all", case.kind, "", "", "", "", "")
    low, high = row["measured_ci_ms"] or (0.0, 0.0)
    return (
        f"{row['device']}/{row['runtime']} {row['precision']}",
        f"{case.budget} = {row['budget_ms']:.4f} ms" if case.budget.endswith("%") else case.budget,
        case.kind,
        f"{100 * row['accuracy_test']:.2f}",
        f"{row['predicted_ms']:.4f} (≤ {row['predicted_hi_ms']:.4f})",
        "not measured" if row["measured_ms"] is None else f"{row['measured_ms']:.4f} ({low:.4f} to {high:.4f})",
        f"{row['size_bytes'] / 1000:.0f}",
        row["arch"][:8],
    )


def _cell(text: str) -> str:
    """On one line of a table, and no markup."""
    plain = " ".join(text.replace("\0", "\ufffd").split())
    return "".join(f"\\{c}" if c in "\\|`*_<>[]&~" else c for c in plain)


def _value(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
